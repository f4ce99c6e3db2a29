// Ask for speech by the session of the page, and play it in an <audio> while it arrives.

import { LOST, problemOf } from "./problems.js";
import { playStream } from "./stream_player.js";

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
      status.textContent = problemOf(response.status, await response.text()).detail;
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
