"use strict";
// Light or dark: what the system prefers, until the reader chooses; the choice is kept where the browser allows it.
// Whoever draws by the colours of style.css listens for "theme" on the document.

const THEME_KEY = "two-stream-agcn-theme";
const darkPreferred = window.matchMedia("(prefers-color-scheme: dark)");

function chosenTheme() {
  try {
    return window.localStorage.getItem(THEME_KEY);
  } catch {
    return null; // storage is switched off
  }
}

function currentTheme() {
  return document.documentElement.dataset.theme;
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  document.dispatchEvent(new CustomEvent("theme", { detail: theme }));
}

function preferredTheme() {
  return chosenTheme() || (darkPreferred.matches ? "dark" : "light");
}

function connectThemeButton(button) {
  const name = () => {
    button.textContent = currentTheme() === "dark" ? "Light theme" : "Dark theme";
  };
  button.addEventListener("click", () => {
    const theme = currentTheme() === "dark" ? "light" : "dark";
    try {
      window.localStorage.setItem(THEME_KEY, theme);
    } catch {
      // The choice lasts as long as the page does.
    }
    setTheme(theme);
  });
  document.addEventListener("theme", name);
  name();
}

setTheme(preferredTheme());
darkPreferred.addEventListener("change", () => setTheme(preferredTheme()));
window.addEventListener("beforeprint", () => setTheme("light"));
window.addEventListener("afterprint", () => setTheme(preferredTheme()));
