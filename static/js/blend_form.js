// The blend's form: shares of the weights as they are set, and a preview that saves nothing.

import { speak } from "./spoken.js";

export function watchBlend(form) {
  const button = form.querySelector("[data-blend-play]");
  button.hidden = false;
  form.addEventListener("input", () => describe(form));
  button.addEventListener("click", async () => {
    button.disabled = true;
    await preview(form);
    button.disabled = false;
  });
  describe(form);
}

function rows(form) {
  return [...form.querySelectorAll(".blend-row")].map((row) => ({
    row,
    voice: row.querySelector("[data-blend-voice]").value,
    weight: Number(row.querySelector("[data-blend-weight]").value),
    slider: row.querySelector("[data-blend-weight]"),
    share: row.querySelector("[data-blend-share]"),
  }));
}

function describe(form) {
  const all = rows(form);
  const total = all.reduce((sum, row) => sum + (row.voice ? row.weight : 0), 0);
  for (const [index, row] of all.entries()) {
    // One empty row at a time is enough to choose in.
    row.row.hidden = index > 1 && !row.voice && !all[index - 1].voice;
    row.slider.disabled = !row.voice;
    row.share.textContent = row.voice ? `${Math.round((100 * row.weight) / total)}\u202f%` : "";
  }
}

async function preview(form) {
  const status = form.querySelector("[data-blend-status]");
  const blend = rows(form)
    .filter((row) => row.voice)
    .map((row) => ({ voice_id: row.voice, weight: row.weight }));
  if (!blend.length) {
    status.textContent = "Choisissez au moins une voix.";
    return;
  }
  const language = form.querySelector("[name$=language]").value;
  await speak({
    address: form.dataset.blendPreview,
    body: { blend, language },
    player: form.querySelector("[data-blend-player]"),
    status,
  });
}
