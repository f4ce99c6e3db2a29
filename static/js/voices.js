// The page of private voices: each widget by its data attribute.

import { watchBlend } from "./blend_form.js";
import { watchCloneForm } from "./clone_form.js";
import { watchRecorders } from "./recorder.js";
import { watchVoiceList } from "./voice_preview.js";

for (const list of document.querySelectorAll("[data-voice-list]")) watchVoiceList(list);
for (const form of document.querySelectorAll("[data-clone]")) watchCloneForm(form);
for (const recorders of document.querySelectorAll("[data-recorders]")) watchRecorders(recorders);
for (const form of document.querySelectorAll("[data-blend]")) watchBlend(form);
