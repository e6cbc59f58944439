// Owns: what the page keeps of Jobs, pods, nodes, CronJobs and events, and the states that it gives them. Pure: objects
// of the API in, small rows out.

const labelOfJob = ["batch.kubernetes.io/job-name", "job-name"];
const labelOfIndex = "batch.kubernetes.io/job-completion-index";

export const jobStates = ["Failed", "Running", "Waiting", "Suspended", "Ending", "Complete"];

/** The condition of a type that is true, or with `status` whatever it is. */
export function condition(object, type, status = "True") {
  return (object.status?.conditions ?? []).find((one) => one.type === type && (!status || one.status === status));
}

export function jobState(job) {
  const status = job.status ?? {};
  if (condition(job, "Complete")) return "Complete";
  if (condition(job, "Failed")) return "Failed";
  if (job.metadata.deletionTimestamp || condition(job, "FailureTarget") || condition(job, "SuccessCriteriaMet")) {
    return "Ending";
  }
  if (job.spec?.suspend) return "Suspended";
  if (!status.startTime) return "Waiting";
  return status.active && status.ready === 0 && !status.terminating ? "Waiting" : "Running";
}

function owner(meta) {
  const one = (meta.ownerReferences ?? []).find((reference) => reference.controller) ?? meta.ownerReferences?.[0];
  return one ? `${one.kind}/${one.name}` : "";
}

export function jobRow(job) {
  const { metadata: meta, spec = {}, status = {} } = job;
  const failed = condition(job, "Failed");
  const end = status.completionTime ?? failed?.lastTransitionTime ?? "";
  return {
    namespace: meta.namespace, name: meta.name, labels: meta.labels ?? {}, owner: owner(meta), state: jobState(job),
    created: meta.creationTimestamp, started: status.startTime ?? "", ended: end,
    wanted: spec.completions ?? null, parallelism: spec.parallelism ?? 1, isIndexed: spec.completionMode === "Indexed",
    succeeded: status.succeeded ?? 0, failed: status.failed ?? 0, active: status.active ?? 0,
    failedIndexes: status.failedIndexes ?? "", reason: failed?.reason ?? "", isSuspended: spec.suspend === true,
    queue: meta.annotations?.["stint.dev/queue"] ?? "",
  };
}

/** The state of a pod's containers, the last that tells of trouble first. */
function trouble(pod) {
  const status = pod.status ?? {};
  const containers = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
  let found = null;
  for (const { name, state = {}, lastState = {} } of containers) {
    const ended = state.terminated;
    if (ended && ended.exitCode !== 0) {
      return {
        container: name, reason: ended.reason ?? "Error", code: ended.exitCode, signal: ended.signal,
        message: ended.message ?? "",
      };
    }
    if (state.waiting?.reason && !["ContainerCreating", "PodInitializing"].includes(state.waiting.reason)) {
      found ??= { container: name, reason: state.waiting.reason, message: state.waiting.message ?? "" };
      if (lastState.terminated) found.code = lastState.terminated.exitCode;
    }
  }
  return found;
}

export function podRow(pod) {
  const { metadata: meta, spec = {}, status = {} } = pod;
  const bad = trouble(pod);
  const containers = status.containerStatuses ?? [];
  const ends = containers.map((one) => one.state?.terminated?.finishedAt).filter(Boolean).sort();
  const isOver = status.phase === "Succeeded" || status.phase === "Failed";
  const index = meta.annotations?.[labelOfIndex] ?? meta.labels?.[labelOfIndex];
  return {
    namespace: meta.namespace, name: meta.name, job: labelOfJob.map((label) => meta.labels?.[label]).find(Boolean) ?? "",
    index: index === undefined ? null : Number(index), node: spec.nodeName ?? "", state: podState(pod, bad),
    phase: status.phase ?? "Pending", created: meta.creationTimestamp, started: status.startTime ?? "",
    ended: isOver ? ends.at(-1) ?? condition(pod, "Ready", "")?.lastTransitionTime ?? "" : "",
    restarts: containers.reduce((sum, one) => sum + (one.restartCount ?? 0), 0),
    reason: status.reason ?? bad?.reason ?? "", message: status.message || bad?.message || "",
    code: bad?.code ?? null, waits: condition(pod, "PodScheduled", "False")?.message ?? "",
    cause: condition(pod, "DisruptionTarget")?.reason ?? "",
    containers: [...(spec.initContainers ?? []), ...(spec.containers ?? []), ...(spec.ephemeralContainers ?? [])]
      .map((one) => one.name),
    cpu: spec.containers ?? [], bare: !meta.ownerReferences?.length,
  };
}

/** Failed, Lost, Running, Starting, Waiting, Ending, Succeeded. */
function podState({ metadata, status = {}, spec = {} }, bad) {
  if (status.phase === "Succeeded") return "Succeeded";
  if (status.phase === "Failed") return status.reason === "NodeLost" ? "Lost" : "Failed";
  if (status.reason === "NodeLost" || status.phase === "Unknown") return "Lost";
  if (metadata.deletionTimestamp) return "Ending";
  if (status.phase === "Running") return bad ? "Failing" : "Running";
  return spec.nodeName ? (bad ? "Failing" : "Starting") : "Waiting";
}

/** What attempts are sorted by: trouble first. */
export const podStates = ["Failed", "Lost", "Failing", "Running", "Starting", "Waiting", "Ending", "Succeeded"];

/** How an attempt ended or why it waits, in a few words. */
export function podStory(row) {
  const parts = [];
  if (row.code !== null) parts.push(`exit code ${row.code}`);
  if (row.reason && row.reason !== "Error") parts.push(row.reason);
  if (row.cause) parts.push(row.cause);
  if (row.restarts) parts.push(`restarted ${row.restarts}×`);
  if (row.message) parts.push(row.message);
  if (!row.node && row.waits) parts.push(row.waits);
  return parts.join(" · ");
}

export function nodeRow(node) {
  const { metadata: meta, spec = {}, status = {} } = node;
  const ready = condition(node, "Ready", "");
  const pressures = (status.conditions ?? [])
    .filter((one) => /(Pressure|Unavailable|Problem)$/.test(one.type) && one.status === "True").map((one) => one.type);
  return {
    name: meta.name, labels: meta.labels ?? {}, isReady: ready?.status === "True", isCordoned: spec.unschedulable === true,
    state: ready?.status !== "True" ? "NotReady" : spec.unschedulable ? "Cordoned" : "Ready",
    reason: ready?.status === "True" ? pressures.join(", ") : ready?.message ?? "", created: meta.creationTimestamp,
    room: status.allocatable ?? {}, taints: (spec.taints ?? []).map((one) => `${one.key}:${one.effect}`),
    version: status.nodeInfo?.kubeletVersion ?? "", system: status.nodeInfo?.osImage ?? "",
    address: status.addresses?.[0]?.address ?? "",
  };
}

export function cronRow(cron) {
  const { metadata: meta, spec = {}, status = {} } = cron;
  return {
    namespace: meta.namespace, name: meta.name, labels: meta.labels ?? {}, schedule: spec.schedule ?? "",
    zone: spec.timeZone ?? "", isSuspended: spec.suspend === true, policy: spec.concurrencyPolicy ?? "Allow",
    last: status.lastScheduleTime ?? "", lastSuccess: status.lastSuccessfulTime ?? "",
    active: status.active ?? [], created: meta.creationTimestamp,
  };
}

export function eventRow(event) {
  const times = [event.lastTimestamp, event.series?.lastObservedTime, event.eventTime, event.firstTimestamp];
  return {
    type: event.type, reason: event.reason ?? "", message: event.message ?? "",
    time: times.find(Boolean) ?? event.metadata.creationTimestamp, count: event.count ?? event.series?.count ?? 1,
    about: `${event.involvedObject?.kind ?? ""}/${event.involvedObject?.name ?? ""}`,
  };
}
