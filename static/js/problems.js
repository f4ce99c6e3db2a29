// What a refused or lost request says to its reader, in one sentence, whoever sent it: fetch, XMLHttpRequest or htmx.

const SESSION_ENDED = "Votre session est terminée. Rechargez la page pour vous reconnecter.";
const UNEXPECTED = "Le serveur a répondu de façon inattendue. Réessayez.";

export const LOST = "La connexion a été coupée avant la fin. Réessayez.";

/** Return the problem object of an answer. For 401 the API speaks of keys, which a page has none of. */
export function problemOf(status, text) {
  if (status === 401) return { detail: SESSION_ENDED };
  try {
    const problem = JSON.parse(text);
    if (typeof problem.detail === "string") return problem;
  } catch {
    // A proxy's own page, or none at all.
  }
  return { detail: UNEXPECTED };
}

/** Show at the end of each part of the page what its own htmx request was refused for. */
export function watchRefusals(page) {
  page.addEventListener("htmx:responseError", (event) => {
    const { xhr, elt } = event.detail;
    show(elt, problemOf(xhr.status, xhr.responseText));
  });
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    page.addEventListener(name, (event) => show(event.detail.elt, { detail: LOST }));
  }
  page.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful) find(event.detail.elt)?.remove();
  });
}

function show(part, problem) {
  // What asks again every few seconds must not be read aloud each time.
  if (find(part)?.dataset.refusal === problem.detail) return;
  find(part)?.remove();
  const alert = document.createElement("p");
  alert.className = "notice bad refusal";
  alert.setAttribute("role", "alert");
  alert.dataset.refusal = alert.textContent = problem.detail;
  if (problem.type) {
    const link = document.createElement("a");
    link.href = problem.type;
    link.textContent = "Comprendre cette erreur";
    alert.append(" ", link);
  }
  part.append(alert);
}

function find(part) {
  return part.querySelector(":scope > [data-refusal]");
}
