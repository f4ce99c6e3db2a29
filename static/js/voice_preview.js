// Let each voice of a list speak: <button data-voice-play hidden> in [data-voice], also in cards that come later.

import { speak } from "./spoken.js";

export function watchVoiceList(list) {
  show(list);
  list.addEventListener("htmx:load", () => show(list));
  list.addEventListener("click", (event) => {
    const button = event.target.closest("[data-voice-play]");
    if (button) play(list, button);
  });
}

function show(list) {
  for (const button of list.querySelectorAll("[data-voice-play]")) button.hidden = false;
}

async function play(list, button) {
  const card = button.closest("[data-voice]");
  button.disabled = true;
  await speak({
    address: list.dataset.speech,
    body: { text: list.dataset.words, voice_id: card.dataset.voice },
    player: card.querySelector("[data-voice-player]"),
    status: card.querySelector("[data-voice-status]"),
  });
  button.disabled = false;
}
