// Owns: the list of CronJobs: schedule, next and last runs, what can be done. It must not know the Jobs that they make.

import { actionButtons } from "./actions.js";
import { atMost, badge, element, fill, link } from "./dom.js";
import { filterOf } from "./filter.js";
import { LiveList } from "./live.js";
import { cronRow } from "./model.js";
import { address, adjust, jobAddress } from "./route.js";
import { next } from "./schedule.js";
import { Table } from "./table.js";
import { age, clock, duration } from "./words.js";

function nextText(row) {
  if (row.isSuspended) return "";
  const moment = next(row.schedule, row.zone, Date.now());
  return moment === null ? "?" : `${clock(new Date(moment).toISOString())} (in ${duration(moment - Date.now())})`;
}

const columns = [
  {
    title: "Name", width: "minmax(8rem, 2fr)",
    cell: (row) => link(address(["jobs"], { owner: `CronJob/${row.name}`, ns: row.namespace }), row.name),
  },
  { title: "Namespace", width: "minmax(6rem, 1fr)", isWide: true, cell: (row) => row.namespace },
  { title: "State", width: "8rem", cell: (row) => badge(row.isSuspended ? "Suspended" : row.active.length ? "Running" : "Ready") },
  { title: "Schedule", width: "minmax(7rem, 1.3fr)", cell: (row) => `${row.schedule}${row.zone ? ` ${row.zone}` : ""}` },
  { title: "Next", width: "minmax(8rem, 2fr)", cell: nextText },
  { title: "Last", width: "minmax(6rem, 1fr)", isWide: true, cell: (row) => (row.last ? `${age(row.last)} ago` : "never") },
  { title: "Last success", width: "minmax(6rem, 1fr)", isWide: true, cell: (row) => (row.lastSuccess ? `${age(row.lastSuccess)} ago` : "") },
  {
    title: "Runs", width: "minmax(6rem, 1.5fr)", isWide: true,
    cell: (row) => element("span", {}, row.active.map((one) => [link(jobAddress(row.namespace, one.name), one.name), " "])),
  },
  { title: "", width: "14rem", isWide: true, class: "actions", cell: (row) => actionButtons("cronjobs", row) },
];

export function cronsView(place, { settings }) {
  let filter = filterOf(settings);
  const table = new Table({
    label: "CronJobs", columns, open: (row) => address(["jobs"], { owner: `CronJob/${row.name}`, ns: row.namespace }),
    empty: "No CronJob matches.",
  });
  const search = element("input", {
    type: "search", value: settings.q ?? "", placeholder: "name …", "aria-label": "Filter CronJobs", oninput: () => {
      settings = adjust({ q: search.value.trim() });
      filter = filterOf(settings);
      show();
    },
  });
  fill(place, element("h1", { class: "unseen" }, "CronJobs"), element("div", { class: "filters" }, search), table.box);
  const list = new LiveList({
    path: "/apis/batch/v1/cronjobs", row: cronRow, changed: () => show(), failed: (error) => {
      table.empty = error.message;
      show();
    },
  });
  const show = atMost(50, () => {
    const rows = [...list.rows.values()].filter((row) => filter(row));
    table.show(rows.sort((one, other) => (one.name < other.name ? -1 : 1)), true);
  });
  list.start();
  const timer = setInterval(show, 5000);
  return () => {
    clearInterval(timer);
    list.stop();
    table.stop();
  };
}
