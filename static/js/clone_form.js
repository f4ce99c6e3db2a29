// Send the clone's form in the background: with progress, and without losing the recordings when it is refused.

import { problemOf } from "./problems.js";

const NUMBERS = new Intl.NumberFormat("fr-FR", { maximumFractionDigits: 0 });

export function watchCloneForm(form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form);
  });
}

function send(form) {
  const body = collect(form);
  const limit = Number(form.dataset.cloneLimit);
  if (!body.has("voices")) return refuse(form, "Enregistrez au moins une phrase, ou choisissez des fichiers.");
  const size = body.getAll("voices").reduce((sum, file) => sum + file.size, 0);
  if (size > limit * 2 ** 20) return refuse(form, `Les enregistrements dépassent ${NUMBERS.format(limit)} Mio ensemble.`);
  const call = new XMLHttpRequest();
  call.upload.addEventListener("progress", (event) => show(form, event));
  call.addEventListener("load", () => finish(form, call));
  call.addEventListener("error", () => refuse(form, "L’envoi a échoué. Vérifiez votre connexion, puis réessayez."));
  call.open("POST", form.dataset.cloneApi);
  call.setRequestHeader("X-CSRFToken", form.elements.csrfmiddlewaretoken.value);
  wait(form, true);
  call.send(body);
  return undefined;
}

/** Gather what the API takes: recorded sentences come with their words, files without. */
function collect(form) {
  const body = new FormData();
  for (const name of ["title", "description"]) body.append(name, form.elements[name].value);
  for (const tag of form.elements.tags.value.split(",")) if (tag.trim()) body.append("tags", tag.trim());
  body.append("consent", String(form.elements.consent.checked));
  for (const row of form.querySelectorAll("[data-recorder]")) {
    const [file] = row.querySelector("[data-record-file]").files;
    if (!file) continue;
    body.append("voices", file);
    body.append("texts", row.dataset.sentence);
  }
  for (const file of form.elements.voices.files) body.append("voices", file);
  return body;
}

function show(form, event) {
  if (!event.lengthComputable) return;
  const share = (100 * event.loaded) / event.total;
  form.querySelector("[data-clone-progress]").value = share;
  const status = form.querySelector("[data-clone-status]");
  status.textContent = share < 100 ? "Envoi…" : "Vérification des enregistrements…";
}

function finish(form, call) {
  if (call.status === 201) {
    form.querySelector("[data-clone-status]").textContent = "La voix se prépare.";
    location.assign(form.dataset.cloneDone);
    return;
  }
  refuse(form, problemOf(call.status, call.responseText).detail);
}

function refuse(form, words) {
  wait(form, false);
  const error = form.querySelector("[data-clone-error]");
  error.textContent = words;
  error.hidden = false;
  error.scrollIntoView({ block: "center" });
}

function wait(form, isWaiting) {
  form.querySelector("[data-clone-send]").disabled = isWaiting;
  form.querySelector("[data-clone-progress]").hidden = !isWaiting;
  if (isWaiting) form.querySelector("[data-clone-error]").hidden = true;
  else form.querySelector("[data-clone-status]").textContent = "";
}
