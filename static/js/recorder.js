// Record sentences with the microphone, each into the file input of its row: the form then sends files like any other.

const KINDS = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];
const ENDINGS = { "audio/webm": "webm", "audio/mp4": "m4a", "audio/ogg": "ogg" };
const SECONDS = new Intl.NumberFormat("fr-FR", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const LONGEST_MS = 60_000;

export function watchRecorders(fieldset) {
  if (!window.MediaRecorder || !navigator.mediaDevices) return;
  fieldset.hidden = false;
  const status = fieldset.querySelector("[data-record-status]");
  for (const row of fieldset.querySelectorAll("[data-recorder]")) new Recorder(row, status);
}

class Recorder {
  constructor(row, status) {
    this.row = row;
    this.status = status;
    this.start = row.querySelector("[data-record]");
    this.end = row.querySelector("[data-record-stop]");
    this.time = row.querySelector("[data-record-time]");
    this.start.addEventListener("click", () => this.record());
    this.end.addEventListener("click", () => this.stop());
  }

  async record() {
    this.start.disabled = true;
    try {
      // What cleans a telephone call takes away what makes a voice one's own.
      const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      this.stream = await navigator.mediaDevices.getUserMedia({ audio });
    } catch {
      this.status.textContent = "Le micro n’est pas accessible. Permettez-le dans votre navigateur, ou envoyez des fichiers.";
      return;
    } finally {
      this.start.disabled = false;
    }
    const mimeType = KINDS.find((kind) => MediaRecorder.isTypeSupported(kind));
    const parts = [];
    this.recorder = new MediaRecorder(this.stream, { mimeType, audioBitsPerSecond: 128_000 });
    this.recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
    this.recorder.addEventListener("stop", () => this.keep(parts), { once: true });
    this.recorder.start();
    this.show(true);
    this.end.focus();
  }

  stop() {
    if (this.recorder?.state === "recording") this.recorder.stop();
  }

  keep(parts) {
    for (const track of this.stream.getTracks()) track.stop();
    this.show(false);
    const type = this.recorder.mimeType.split(";")[0];
    const input = this.row.querySelector("[data-record-file]");
    const file = new File(parts, `${input.name}.${ENDINGS[type] ?? "webm"}`, { type });
    const files = new DataTransfer();
    files.items.add(file);
    input.files = files.files;
    const player = this.row.querySelector("[data-record-player]");
    if (player.src) URL.revokeObjectURL(player.src);
    player.src = URL.createObjectURL(file);
    player.hidden = false;
    this.start.focus();
    this.status.textContent = "Enregistrement gardé. Écoutez-le, ou recommencez.";
  }

  show(isRecording) {
    this.row.classList.toggle("is-recording", isRecording);
    this.start.hidden = isRecording;
    this.end.hidden = !isRecording;
    clearInterval(this.clock);
    if (!isRecording) return;
    this.status.textContent = "Enregistrement en cours : lisez la phrase, puis arrêtez.";
    const startedAt = performance.now();
    this.clock = setInterval(() => {
      const spent = performance.now() - startedAt;
      this.time.textContent = `${SECONDS.format(spent / 1000)} s`;
      if (spent > LONGEST_MS) this.stop();
    }, 100);
  }
}
