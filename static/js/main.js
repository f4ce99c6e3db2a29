// What every page needs: copy buttons, and the mark of the section in view.

import { watchCopyButtons } from "./copy.js";
import { watchContents } from "./contents.js";

watchCopyButtons(document);
document.addEventListener("htmx:afterSettle", (event) => watchCopyButtons(event.target));
for (const contents of document.querySelectorAll("[data-toc]")) watchContents(contents);
