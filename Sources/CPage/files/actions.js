// Owns: what can be done to Jobs, CronJobs, pods and nodes, who may, and the question that says first what will happen.
// It must not know where the buttons stand.

import { cluster, create, get, may, merge, remove } from "./api.js";
import { element, fill, note } from "./dom.js";
import { ranges, rangesText } from "./words.js";

const batch = "/apis/batch/v1";
const jobPath = (row) => `${batch}/namespaces/${row.namespace}/jobs/${row.name}`;
const cronPath = (row) => `${batch}/namespaces/${row.namespace}/cronjobs/${row.name}`;
const podPath = (row) => `/api/v1/namespaces/${row.namespace}/pods/${row.name}`;
const isOver = (row) => row.state === "Complete" || row.state === "Failed";
const cascades = {
  Background: "The Job goes at once, its pods right after it.",
  Foreground: "Its pods go first, then the Job.",
  Orphan: "Its pods stay, and run on without a Job.",
};

const actions = {
  jobs: [
    {
      name: "Suspend", needs: ["patch", "batch", "jobs"], when: (row) => !row.isSuspended && !isOver(row),
      says: (row) => `Ends the ${row.active} pods of ${row.name} that run. What has succeeded stays; the Job waits until it is resumed.`,
      run: (row) => merge(jobPath(row), { spec: { suspend: true } }), done: "suspended",
    },
    {
      name: "Resume", needs: ["patch", "batch", "jobs"], when: (row) => row.isSuspended && !isOver(row),
      says: (row) => `Lets ${row.name} run again, from the ${row.succeeded} completions that it has.`,
      run: (row) => merge(jobPath(row), { spec: { suspend: false } }), done: "resumed",
    },
    {
      name: "Retry", needs: ["create", "batch", "jobs"], when: isOver,
      says: (row) => `Makes a new Job of the same spec. ${row.name} stays as it is.`,
      choices: (row) => (cluster.isStint && row.isIndexed && row.state === "Failed" ? {
        failed: "Only the indexes that have not succeeded.", all: "All of it.",
      } : null),
      run: retry, done: "runs again",
    },
    {
      name: "Delete", needs: ["delete", "batch", "jobs"], isHarsh: true, when: () => true,
      says: (row) => `Deletes the Job ${row.namespace}/${row.name}, its status and its history.`, choices: () => cascades,
      run: (row, policy) => remove(jobPath(row), { propagationPolicy: policy, preconditions: { uid: row.uid } }),
      done: "deleted",
    },
  ],
  cronjobs: [
    {
      name: "Run now", needs: ["create", "batch", "jobs"], when: () => true,
      says: (row) => `Makes one Job of ${row.name} now, whatever its schedule and its other Jobs say.`,
      run: runNow, done: "runs",
    },
    {
      name: "Suspend", needs: ["patch", "batch", "cronjobs"], when: (row) => !row.isSuspended,
      says: (row) => `${row.name} makes no more Jobs until it is resumed. Those that run go on.`,
      run: (row) => merge(cronPath(row), { spec: { suspend: true } }), done: "suspended",
    },
    {
      name: "Resume", needs: ["patch", "batch", "cronjobs"], when: (row) => row.isSuspended,
      says: (row) => `${row.name} makes Jobs again by its schedule. A run that was missed may be made up at once.`,
      run: (row) => merge(cronPath(row), { spec: { suspend: false } }), done: "resumed",
    },
    {
      name: "Delete", needs: ["delete", "batch", "cronjobs"], isHarsh: true, when: () => true,
      says: (row) => `Deletes the CronJob ${row.namespace}/${row.name}, and the Jobs that it has made, with their pods.`,
      run: (row) => remove(cronPath(row), { propagationPolicy: "Background", preconditions: { uid: row.uid } }),
      done: "deleted",
    },
  ],
  pods: [
    {
      name: "Delete", needs: ["delete", "", "pods"], isHarsh: true, when: () => true,
      says: (row) => row.bare ? `Deletes ${row.name}. No Job will replace it.`
        : `Ends ${row.name}. If it runs, its Job starts another one in its place.`,
      run: (row) => remove(podPath(row), { preconditions: { uid: row.uid } }), done: "deleted",
    },
  ],
  nodes: [
    {
      name: "Cordon", needs: ["patch", "", "nodes"], when: (row) => !row.isCordoned,
      says: (row) => `${row.name} gets no more pods. Those that it has run on.`, run: (row) => cordon(row, true), done: "cordoned",
    },
    {
      name: "Uncordon", needs: ["patch", "", "nodes"], when: (row) => row.isCordoned,
      says: (row) => `${row.name} gets pods again.`, run: (row) => cordon(row, false), done: "takes pods again",
    },
    {
      name: "Drain", needs: ["create", "", "pods", "", "eviction"], isHarsh: true, when: () => true,
      says: (row) => `Cordons ${row.name} and evicts its pods: their Jobs start them elsewhere. Pods that no Job would replace stay.`,
      run: drain, done: "is being drained",
    },
  ],
};

async function cordon(row, unschedulable) {
  return merge(`/api/v1/nodes/${row.name}`, { spec: { unschedulable } });
}

async function drain(row) {
  await cordon(row, true);
  const path = `/api/v1/pods?fieldSelector=${encodeURIComponent(`spec.nodeName=${row.name}`)}`;
  const pods = (await get(path)).items.filter((pod) => !["Succeeded", "Failed"].includes(pod.status?.phase));
  const owned = pods.filter((pod) => pod.metadata.ownerReferences?.some((one) => one.kind !== "DaemonSet"));
  const refused = [];
  for (const { metadata: { namespace, name } } of owned) {
    try {
      await create(`/api/v1/namespaces/${namespace}/pods/${name}/eviction`, {
        apiVersion: "policy/v1", kind: "Eviction", metadata: { namespace, name },
      });
    } catch (error) {
      if (error.code !== 404) refused.push(`${name}: ${error.message}`);
    }
  }
  if (refused.length) throw new Error(`${refused.length} of ${owned.length} pods stay. ${refused[0]}`);
  if (owned.length < pods.length) note(`${pods.length - owned.length} pods stay: no Job would replace them.`, true);
}

const generated = ["batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "controller-uid", "job-name"];
const without = (map = {}, names) => Object.fromEntries(Object.entries(map).filter(([name]) => !names.includes(name)));

/** A copy of a Job without what the server had added, under the next free name, as `stint rerun` makes it. */
async function retry(row, choice) {
  const job = await get(jobPath(row));
  const spec = structuredClone(job.spec);
  let labels = job.metadata.labels;
  if (!spec.manualSelector) {
    delete spec.selector;
    labels = without(labels, generated);
    spec.template.metadata = { ...spec.template.metadata, labels: without(spec.template.metadata?.labels, generated) };
    delete spec.template.metadata.creationTimestamp;
  }
  const annotations = without(job.metadata.annotations, [
    "kubectl.kubernetes.io/last-applied-configuration", "batch.kubernetes.io/cronjob-scheduled-timestamp",
    "batch.kubernetes.io/job-tracking", "stint.dev/last-failures", "stint.dev/depends-on",
  ]);
  annotations["stint.dev/rerun-of"] = row.name;
  if (choice === "failed") {
    const done = new Set(ranges(job.status?.completedIndexes, spec.completions)
      .flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, step) => first + step)));
    const left = Array.from({ length: spec.completions }, (_, index) => index).filter((index) => !done.has(index));
    annotations["stint.dev/indexes"] = rangesText(left);
  }
  const base = row.name.replace(/(?<=.)-rerun-\d+$/, "").slice(0, 40).replace(/[-.]+$/, "");
  for (let number = 1; number <= 50; number++) {
    const name = `${base}-rerun-${number}`;
    try {
      await create(`${batch}/namespaces/${row.namespace}/jobs`, {
        apiVersion: "batch/v1", kind: "Job", metadata: { name, labels, annotations }, spec,
      });
      return name;
    } catch (error) {
      if (error.code !== 409) throw error;
    }
  }
  throw new Error(`all names ${base}-rerun-N are taken`);
}

async function runNow(row) {
  const cron = await get(cronPath(row));
  const template = cron.spec.jobTemplate;
  const annotations = { ...template.metadata?.annotations, "cronjob.kubernetes.io/instantiate": "manual" };
  const owner = {
    apiVersion: "batch/v1", kind: "CronJob", name: row.name, uid: cron.metadata.uid, controller: true,
  };
  const name = `${row.name.slice(0, 45)}-manual-${Math.random().toString(36).slice(2, 7)}`;
  const metadata = { name, labels: template.metadata?.labels, annotations, ownerReferences: [owner] };
  await create(`${batch}/namespaces/${row.namespace}/jobs`, { apiVersion: "batch/v1", kind: "Job", metadata, spec: template.spec });
  return name;
}

/** Asks, does it, and says what came of it. */
function ask(action, kind, row) {
  const choices = action.choices?.(row);
  const problem = element("p", { class: "error", role: "alert", hidden: true });
  const go = element("button", { type: "button", class: action.isHarsh ? "harsh" : "strong", onclick: act }, action.name);
  const options = Object.entries(choices ?? {}).map(([value, text], position) => element("label", { class: "choice" },
    element("input", { type: "radio", name: "choice", value, checked: position === 0 }), element("span", {}, element("b", {}, value), ` ${text}`)));
  const dialog = element("dialog", { "aria-labelledby": "question", onclose: () => dialog.remove() },
    element("h2", { id: "question" }, `${action.name}: ${row.namespace ? `${row.namespace}/` : ""}${row.name}`),
    element("p", {}, action.says(row)), options, problem,
    element("div", { class: "buttons" }, element("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), go));
  document.body.append(dialog);
  dialog.showModal();
  (action.isHarsh ? dialog.querySelector("button") : go).focus();

  async function act() {
    go.disabled = true;
    try {
      const made = await action.run(row, dialog.querySelector("input:checked")?.value);
      note(typeof made === "string" ? `${row.name} ${action.done}: ${made}` : `${row.name} ${action.done}`);
      dialog.close();
    } catch (error) {
      problem.hidden = false;
      problem.textContent = error.message;
      go.disabled = false;
    }
  }
}

/** Buttons for what can be done to `row`; those that the person's role does not allow are not there. */
export function actionButtons(kind, row, isLarge = false) {
  const place = element("span", { class: isLarge ? "buttons" : "small buttons", "aria-busy": "true" });
  const fitting = actions[kind].filter((action) => action.when(row));
  Promise.all(fitting.map(({ needs: [verb, group, resource, , part] }) =>
    may(verb, group, resource, row.namespace ?? "", part))).then((allowed) => {
    fill(place, fitting.filter((_, position) => allowed[position]).map((action) => element("button", {
      type: "button", class: action.isHarsh ? "harsh" : "", tabindex: isLarge ? null : "-1",
      "aria-label": `${action.name} ${row.name}`, onclick: () => ask(action, kind, row),
    }, action.name)));
    place.removeAttribute("aria-busy");
  });
  return place;
}
