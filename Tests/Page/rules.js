// Owns: rules of ours for who does not see the page as we do: names for what can be operated, contrast of text, no id
// twice, tables with roles. Given to the page by the browser's own protocol; returns what breaks them.

(() => {
  const found = [];
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const mix = (top, under, share) => top.slice(0, 3).map((value, place) => value * share + under[place] * (1 - share));
  const backdrop = (node) => {
    const layers = [];
    for (let one = node; one; one = one.parentElement) {
      const colour = rgb(getComputedStyle(one).backgroundColor);
      layers.push(colour);
      if (colour[3] === 255) break;
    }
    return layers.reverse().reduce((under, top) => mix(top, under, top[3] / 255), [255, 255, 255]);
  };
  const opacity = (node) => {
    let all = 1;
    for (let one = node; one; one = one.parentElement) all *= Number(getComputedStyle(one).opacity);
    return all;
  };
  const isSeen = (node) => {
    const place = node.getBoundingClientRect();
    return place.width > 1 && place.height > 1 && getComputedStyle(node).visibility === "visible" && place.right > 0;
  };
  const say = (rule, node) => found.push(`${rule}: <${node.tagName.toLowerCase()} class="${node.className}"> ${node.textContent.trim().slice(0, 40)}`);

  for (const node of document.querySelectorAll("a[href],button,input,select,[tabindex='0']")) {
    if (!isSeen(node)) continue;
    const name = node.getAttribute("aria-label") || node.textContent.trim() || node.labels?.[0]?.textContent;
    if (!name) say("no name", node);
  }
  for (const node of document.querySelectorAll("canvas")) if (!node.getAttribute("aria-label")) say("no label", node);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !isSeen(node) || node.closest(":disabled,noscript,option")) continue;
    const under = backdrop(node);
    const ink = mix(rgb(getComputedStyle(node).color), under, opacity(node));
    const [high, low] = [light(ink), light(under)].sort((one, other) => other - one);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) say(`contrast ${ratio.toFixed(2)}`, node);
  }
  const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
  for (const id of new Set(ids)) if (ids.filter((one) => one === id).length > 1) found.push(`id twice: ${id}`);
  for (const table of document.querySelectorAll("[role=table]")) {
    if (!table.getAttribute("aria-label") || !table.hasAttribute("aria-rowcount")) say("table", table);
    if (!table.querySelector("[role=columnheader]")) say("no heads", table);
  }
  for (const bad of document.querySelectorAll("[role=tab]")) if (!bad.closest("[role=tablist]")) say("tab", bad);
  if (!document.querySelector("main h1")) found.push("no h1");
  if (document.documentElement.scrollWidth > innerWidth + 1) found.push(`wider than the screen: ${document.documentElement.scrollWidth}`);
  return found;
})();
