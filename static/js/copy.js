// Copy the text of an element: <button data-copy="id" data-copied="…" data-refused="…" hidden>.

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
  const words = (await write(source.textContent)) ? button.dataset.copied : button.dataset.refused;
  // Where nothing may be written to the clipboard, the reader still can: the text is ready for the keys.
  if (words === button.dataset.refused) getSelection().selectAllChildren(source);
  const label = button.querySelector("[data-copy-label]");
  const before = label.dataset.before ?? label.textContent;
  label.dataset.before = before;
  label.textContent = words;
  announce(words);
  clearTimeout(Number(label.dataset.timer));
  label.dataset.timer = setTimeout(() => (label.textContent = before), SHOWN_MS);
}

/** Write to the clipboard, and tell whether that was allowed. */
async function write(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // It exists on https and localhost only, and a browser may forbid it; the old command copies a selection.
    return writeBySelection(text);
  }
}

function writeBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  return isCopied;
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
