// Ask for speech by the session of the page, and play it in an <audio> while it arrives.

import { playStream } from "./stream_player.js";

const LOST = "La connexion a été coupée avant la fin. Réessayez.";

/** POST `body` to `address` and play the answer; words on how it goes are shown in `status`. */
export async function speak({ address, body, player, status }) {
  status.textContent = "Synthèse en cours…";
  try {
    const response = await fetch(address, {
      method: "POST",
      headers: { Accept: "audio/*", "Content-Type": "application/json", "X-CSRFToken": csrfToken() },
      body: JSON.stringify(body),
    });
    if (!response.ok) {
      status.textContent = (await readProblem(response)).detail;
      return;
    }
    player.hidden = false;
    await playStream(response, player, () => (status.textContent = "Lecture…"));
    status.textContent = "";
  } catch {
    status.textContent = LOST;
  }
}

/** Return the token that every form of the page carries. */
export function csrfToken() {
  return document.querySelector("[name=csrfmiddlewaretoken]").value;
}

async function readProblem(response) {
  try {
    return await response.json();
  } catch {
    return { detail: "Le serveur a répondu de façon inattendue. Réessayez." };
  }
}
