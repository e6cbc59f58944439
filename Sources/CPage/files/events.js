// Owns: what happened to an object, as a table: asked for again every few seconds while it is seen, since a watch would
// take one of a browser's six connections. It must not know the object.

import { get, withQuery } from "./api.js";
import { badge } from "./dom.js";
import { eventRow } from "./model.js";
import { Table } from "./table.js";
import { age, clock } from "./words.js";

const columns = [
  { title: "Age", width: "4.5rem", cell: (row) => age(row.time) },
  { title: "Time", width: "8rem", isWide: true, cell: (row) => clock(row.time) },
  { title: "Type", width: "6rem", cell: (row) => badge(row.type) },
  { title: "Reason", width: "minmax(7rem, 1fr)", cell: (row) => row.reason },
  { title: "About", width: "minmax(7rem, 1.5fr)", isWide: true, cell: (row) => row.about },
  { title: "Message", width: "minmax(10rem, 5fr)", cell: (row) => (row.count > 1 ? `${row.message} (${row.count}×)` : row.message) },
];

/** A table of the events that `fields` (a field selector) names, and of those for which `also(row)` is true. */
export function eventsPanel(namespace, fields, also = null) {
  const table = new Table({ label: "Events", columns, empty: "No events are kept." });
  const path = namespace ? `/api/v1/namespaces/${namespace}/events` : "/api/v1/events";
  let ended = false;

  async function read() {
    if (!document.hidden) {
      try {
        const list = await get(withQuery(path, { fieldSelector: also ? "" : fields, limit: 2000 }));
        const rows = list.items.map(eventRow).filter((row) => !also || also(row));
        if (!ended) table.show(rows.sort((one, other) => (one.time < other.time ? 1 : -1)), true);
      } catch (error) {
        table.empty = error.message;
        table.show([]);
      }
    }
    if (!ended) timer = setTimeout(read, 5000);
  }
  let timer = setTimeout(read, 0);
  return {
    box: table.box,
    stop() {
      ended = true;
      clearTimeout(timer);
      table.stop();
    },
  };
}
