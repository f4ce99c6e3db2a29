// Speak a text with the same API as the customer's programs, by the session of the page.

import { euros } from "./money.js";
import { LOST, problemOf } from "./problems.js";
import { playStream } from "./stream_player.js";

const NUMBERS = new Intl.NumberFormat("fr-FR");
const SECONDS = new Intl.NumberFormat("fr-FR", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

class Playground {
  constructor(form) {
    this.form = form;
    this.parts = {};
    for (const part of form.querySelectorAll("[data-play]")) this.parts[part.dataset.play] = part;
    this.curl = document.getElementById("play-curl");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.speak();
    });
    form.addEventListener("input", () => this.describe());
    this.parts.stop.addEventListener("click", () => this.stop());
    this.describe();
    this.listVoices();
  }

  get request() {
    const { text, voice_id: voice, format } = this.form.elements;
    return { text: text.value, voice_id: voice.value || null, format: format.value };
  }

  /** Show how long the text is, and the same call as a command. */
  describe() {
    this.parts.count.textContent = NUMBERS.format([...this.form.elements.text.value.normalize("NFC")].length);
    const body = JSON.stringify(this.request).replaceAll("'", "'\\''");
    this.curl.textContent = [
      `curl ${this.curl.dataset.origin}${this.form.dataset.speech} \\`,
      '  -H "X-API-Key: $FR02_API_KEY" \\',
      '  -H "Content-Type: application/json" \\',
      '  -H "Accept: audio/*" \\',
      `  -d '${body}' \\`,
      `  -o fr02.${this.request.format}`,
    ].join("\n");
  }

  async listVoices() {
    const state = this.parts["voices-state"];
    state.textContent = "Chargement des voix…";
    const [mine, community] = await Promise.allSettled([
      getJson(this.form.dataset.voices),
      getJson(this.form.dataset.community),
    ]);
    this.addVoices("Vos voix", (mine.value?.voices ?? []).map((voice) => [voice.fish_audio_model_id, voice.title]));
    this.addVoices(
      "Voix de la communauté",
      (community.value?.models ?? []).map((voice) => [voice.fish_audio_id, voice.title]),
    );
    const isComplete = mine.value && community.value;
    state.textContent = isComplete ? "" : "Une partie des voix n’a pas pu être chargée : rechargez la page.";
  }

  /** Offer the voices that are not in the list yet; the one that the address asked for came with the page. */
  addVoices(label, voices) {
    const select = this.form.elements.voice_id;
    const known = new Set([...select.options].map((option) => option.value));
    const group = document.createElement("optgroup");
    group.label = label;
    for (const [id, title] of voices) if (!known.has(id)) group.append(new Option(title, id));
    if (group.children.length) select.append(group);
  }

  async speak() {
    this.stop();
    const call = new AbortController();
    this.call = call;
    this.wait(true);
    const askedAt = performance.now();
    try {
      const response = await fetch(this.form.dataset.speech, {
        method: "POST",
        headers: {
          Accept: "audio/*",
          "Content-Type": "application/json",
          "X-CSRFToken": this.form.elements.csrfmiddlewaretoken.value,
        },
        body: JSON.stringify(this.request),
        signal: call.signal,
      });
      if (!response.ok) return this.refuse(problemOf(response.status, await response.text()));
      await this.play(response, askedAt);
    } catch (error) {
      if (error.name !== "AbortError") this.refuse({ detail: LOST });
    } finally {
      if (this.call === call) this.wait(false);
    }
  }

  async play(response, askedAt) {
    const format = this.request.format;
    const { player, first, characters, cost, result, download, state } = this.parts;
    characters.textContent = NUMBERS.format(response.headers.get("X-Characters"));
    cost.textContent = euros(response.headers.get("X-Cost-Micros"));
    player.hidden = format === "pcm";
    download.hidden = true;
    result.hidden = false;
    const blob = await playStream(response, player, () => {
      first.textContent = `${SECONDS.format((performance.now() - askedAt) / 1000)} s`;
      state.textContent = "Lecture…";
    });
    if (this.file) URL.revokeObjectURL(this.file);
    this.file = URL.createObjectURL(blob);
    download.href = this.file;
    download.download = `fr02.${format}`;
    download.hidden = false;
    state.textContent = "Audio complet.";
  }

  stop() {
    this.call?.abort();
    this.parts.player.pause();
    this.parts.state.textContent = "";
    this.wait(false);
  }

  wait(isWaiting) {
    const { speak, stop, waiting, state, error } = this.parts;
    speak.disabled = isWaiting;
    stop.hidden = waiting.hidden = !isWaiting;
    if (isWaiting) {
      error.hidden = true;
      state.textContent = "Synthèse en cours…";
    }
  }

  refuse(problem) {
    const { error, state } = this.parts;
    error.textContent = problem.detail;
    if (problem.code) {
      const link = document.createElement("a");
      link.href = `${this.form.dataset.errors}#${problem.code}`;
      link.textContent = "Comprendre cette erreur";
      error.append(" ", link);
    }
    error.hidden = false;
    state.textContent = "";
  }
}

async function getJson(address) {
  const response = await fetch(address, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(address);
  return response.json();
}

for (const form of document.querySelectorAll("[data-playground]")) new Playground(form);
