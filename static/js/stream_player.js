// Play audio while it arrives, and keep it whole for the download.

const STREAMED = "audio/mpeg";

/** Feed a fetch response into an <audio>. Returns the whole audio as a Blob; `onFirst` runs at the first byte. */
export async function playStream(response, player, onFirst) {
  const type = (response.headers.get("Content-Type") ?? "").split(";")[0];
  const chunks = [];
  const feed = type === STREAMED && canStream() ? openFeed(player) : null;
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (!chunks.length) onFirst();
      chunks.push(value);
      if (feed) await feed.push(value);
    }
  } finally {
    feed?.end();
  }
  const blob = new Blob(chunks, { type });
  if (!feed) await playWhole(blob, player);
  return blob;
}

function canStream() {
  return "MediaSource" in window && MediaSource.isTypeSupported(STREAMED);
}

async function playWhole(blob, player) {
  if (!player.canPlayType(blob.type)) return;
  player.src = URL.createObjectURL(blob);
  await start(player);
}

function openFeed(player) {
  const source = new MediaSource();
  player.src = URL.createObjectURL(source);
  const opened = new Promise((resolve) => source.addEventListener("sourceopen", resolve, { once: true }));
  const buffer = opened.then(() => source.addSourceBuffer(STREAMED));
  let hasStarted = false;
  return {
    async push(bytes) {
      const target = await buffer;
      target.appendBuffer(bytes);
      await new Promise((resolve) => target.addEventListener("updateend", resolve, { once: true }));
      if (!hasStarted && player.buffered.length) {
        hasStarted = true;
        await start(player);
      }
    },
    end() {
      if (source.readyState === "open") source.endOfStream();
    },
  };
}

async function start(player) {
  try {
    await player.play();
  } catch (error) {
    // A browser that forbids sound before a gesture leaves the player ready for the listener's own press.
    if (error.name !== "NotAllowedError" && error.name !== "AbortError") throw error;
  }
}
