// Owns: the page's address: which view, of what, and its settings, all behind `#`, so that a link says what is seen and a
// plain file server suffices. It must not know the views.

/** The address as { parts, settings }. */
export function read(hash = location.hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").filter(Boolean).map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  return { parts, settings: Object.fromEntries(new URLSearchParams(query)) };
}

/** The address of a view. */
export function address(parts, settings = {}) {
  const kept = Object.entries(settings).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = new URLSearchParams(kept).toString();
  return `#/${parts.map(encodeURIComponent).join("/")}${query ? `?${query}` : ""}`;
}

let shown = "";

/** Says of which view the address is now: settings of one that is about to go must not get into its successor's. */
export function showing(parts) {
  shown = parts.join("/");
}

/** Changes settings of the present address, without a step in the history: a filter being typed is none. */
export function adjust(changes) {
  const { parts, settings } = read();
  if (parts.join("/") === shown) history.replaceState(null, "", address(parts, { ...settings, ...changes }));
  return { ...settings, ...changes };
}

export const jobAddress = (namespace, name, settings) => address(["jobs", namespace, name], settings);
export const logAddress = (namespace, pod, container, settings) => address(["logs", namespace, pod, container], settings);
export const nodeAddress = (name) => address(["nodes", name]);
