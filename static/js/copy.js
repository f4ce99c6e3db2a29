// Copy the text of an element: <button data-copy="id" data-copied="Copié" hidden>.

const SHOWN_MS = 2000;

export function watchCopyButtons(root) {
  for (const button of root.querySelectorAll("[data-copy]")) {
    if (!button.hidden) continue;
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  await write(source);
  const label = button.querySelector("[data-copy-label]");
  const before = label.dataset.before ?? label.textContent;
  label.dataset.before = before;
  label.textContent = button.dataset.copied;
  announce(button.dataset.copied);
  clearTimeout(Number(label.dataset.timer));
  label.dataset.timer = setTimeout(() => (label.textContent = before), SHOWN_MS);
}

async function write(source) {
  // The clipboard API exists on https and localhost only; elsewhere the old command copies the selection.
  if (navigator.clipboard) return navigator.clipboard.writeText(source.textContent);
  const area = document.createElement("textarea");
  area.value = source.textContent;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

function announce(words) {
  let region = document.getElementById("copy-announcement");
  if (!region) {
    region = document.createElement("p");
    region.id = "copy-announcement";
    region.className = "visually-hidden";
    region.setAttribute("role", "status");
    document.body.append(region);
  }
  region.textContent = "";
  requestAnimationFrame(() => (region.textContent = words));
}
