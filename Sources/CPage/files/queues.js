// Owns: the list of Queues, a kind of Stint's own: limits, who waits, who runs, from the server's own table of them.

import { get } from "./api.js";
import { element, fill, link } from "./dom.js";
import { address } from "./route.js";
import { Table } from "./table.js";

export function queuesView(place) {
  let ended = false;
  const table = new Table({
    label: "Queues", empty: "There is no Queue.", open: (row) => address(["jobs"], { q: row.name }), columns: [
      { title: "Name", width: "minmax(8rem, 2fr)", cell: (row) => link(address(["jobs"], { q: row.name }), row.name) },
      { title: "Priority", width: "6rem", cell: (row) => String(row.spec.priority ?? 0) },
      { title: "Jobs wait", width: "7rem", cell: (row) => String(row.status.waiting ?? 0) },
      { title: "Jobs run", width: "7rem", cell: (row) => String(row.status.running ?? 0) },
      { title: "Limits", width: "minmax(10rem, 3fr)", cell: (row) => pairs(row.spec.limits) },
      { title: "Used", width: "minmax(10rem, 3fr)", isWide: true, cell: (row) => pairs(row.status.used) },
    ],
  });
  const pairs = (map = {}) => Object.entries(map).map(([key, value]) => `${key} ${value}`).join(", ");
  fill(place, element("h1", {}, "Queues"), table.box);

  async function read() {
    if (!document.hidden) {
      try {
        const { items } = await get("/apis/stint.dev/v1/queues");
        table.show(items.map(({ metadata, spec = {}, status = {} }) => ({ name: metadata.name, spec, status })), true);
      } catch (error) {
        table.empty = error.message;
        table.show([]);
      }
    }
    if (!ended) timer = setTimeout(read, 3000);
  }
  let timer = setTimeout(read, 0);
  return () => {
    ended = true;
    clearTimeout(timer);
    table.stop();
  };
}
