// On a phone a long name goes on in the next line, after an underscore and not within a word: see site.css.
document.addEventListener("DOMContentLoaded", () => {
  for (const code of document.querySelectorAll("td code.literal .pre")) {
    code.innerHTML = code.innerHTML.replace(/[_.\/](?=\w)/g, "$&<wbr>");
  }
});
