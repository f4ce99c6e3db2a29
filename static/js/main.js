// What every page needs: copy buttons, what requests are refused for, and the mark of the section in view.

import { watchCopyButtons } from "./copy.js";
import { watchContents } from "./contents.js";
import { watchRefusals } from "./problems.js";

watchCopyButtons(document);
document.addEventListener("htmx:afterSettle", (event) => watchCopyButtons(event.target));
watchRefusals(document);

// Where the session has ended, the answer is the log-in page: no part of this one. Show the page as a visitor sees it.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (new URL(event.detail.xhr.responseURL).pathname.startsWith("/compte/login/")) {
    event.detail.shouldSwap = false;
    location.reload();
  }
});
for (const contents of document.querySelectorAll("[data-toc]")) watchContents(contents);
