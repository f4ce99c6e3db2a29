// Play the samples of voices where their links stand, one at a time; without this the link opens the sound.

const WORDS = { listen: "Écouter un extrait", stop: "Arrêter", wait: "Chargement…" };
const FAULT = "L’extrait ne peut pas être lu. Réessayez dans un instant.";
const player = new Audio();
let current = null;

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-sample]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (link === current) stop();
  else play(link);
});
player.addEventListener("ended", stop);

async function play(link) {
  stop();
  current = link;
  say(link, WORDS.wait);
  status(link).textContent = "";
  player.src = link.href;
  try {
    await player.play();
    if (current === link) say(link, WORDS.stop);
  } catch {
    // Another sample, or a second click, ended it on purpose.
    if (current !== link) return;
    stop();
    status(link).textContent = FAULT;
  }
}

function stop() {
  player.pause();
  if (current) say(current, WORDS.listen);
  current = null;
}

function say(link, word) {
  link.querySelector("[data-sample-word]").textContent = word;
}

function status(link) {
  return link.parentElement.querySelector("[role=status]");
}
