// Owns: making elements. All text goes in as text: nothing that comes from a cluster is ever read as markup.

/** An element: attributes and handlers (`onclick`) by name, then children: elements, text, or nothing (null, false). */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(made.style, value);
    else if (name in made && typeof value !== "string") made[name] = value;
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  put(made, children);
  return made;
}

/** Adds children; lists are taken apart. */
export function put(parent, children) {
  for (const child of children.flat(3)) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Replaces all that is in `parent`. */
export function fill(parent, ...children) {
  parent.replaceChildren();
  put(parent, children);
  return parent;
}

/** Sets a text only where it has changed. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A state as a word with a sign: colour is never alone. */
export function badge(state) {
  return element("span", { class: `state ${state.toLowerCase()}` }, state);
}

/** A link within the page. */
export function link(address, ...children) {
  return element("a", { href: address }, ...children);
}

/** Calls `work` at most once in `milliseconds`, with what came last. */
export function atMost(milliseconds, work) {
  let timer = 0;
  return () => {
    if (timer) return;
    timer = setTimeout(() => {
      timer = 0;
      work();
    }, milliseconds);
  };
}

/** Calls `work` when light has become dark, or dark light; returns what ends that. */
export function onTheme(work) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", work);
  addEventListener("theme", work);
  return () => {
    system.removeEventListener("change", work);
    removeEventListener("theme", work);
  };
}

/** Lets the browser paint and answer keys before what follows. */
export function breath() {
  if (globalThis.scheduler?.yield) return scheduler.yield();
  return new Promise((go) => setTimeout(go, 0));
}

/** Says something to who looks and to who listens, for a few seconds. */
export function note(text, isError = false) {
  const place = document.getElementById("notes");
  const line = element("p", { class: isError ? "error" : "" }, text);
  place.append(line);
  while (place.childElementCount > 4) place.firstChild.remove();
  setTimeout(() => line.remove(), isError ? 12000 : 5000);
}

/** Hands bytes to the person as a file. */
export function download(name, parts, type = "text/plain") {
  const address = URL.createObjectURL(new Blob(parts, { type }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
}
