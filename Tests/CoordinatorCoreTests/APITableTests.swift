// Tables: columns of every kind, and the cells of Jobs, pods, nodes and events over their states.

import ClusterProto
import Testing

@testable import CoordinatorCore

private let now = WallTime(rfc3339: "2026-11-23T10:00:00Z") ?? WallTime(nanoseconds: 0)
private func ago(_ seconds: Int64) -> WallTime { now.adding(milliseconds: -seconds * 1000) }

struct PodCase: CustomTestStringConvertible, Sendable {
  var title: String
  var status: JSON
  var ready: String
  var shown: String
  var restarts = "0"
  var isDeleted = false
  var initContainers: JSON = []
  var containers = 1
  var testDescription: String { title }
}

private func terminated(_ code: Int64, _ reason: String = "", signal: Int64 = 0) -> JSON {
  ["terminated": ["exitCode": .int(code), "reason": .string(reason), "signal": .int(signal)]]
}

private func container(_ state: JSON, ready: Bool = false, restarts: Int64 = 0, last: JSON? = nil) -> JSON {
  var status: JSON = [
    "name": "c", "image": "i", "state": state, "ready": .bool(ready), "restartCount": .int(restarts),
  ]
  if let last { status["lastState"] = last }
  return status
}

private let running: JSON = ["running": ["startedAt": "2026-11-23T09:00:00Z"]]
private let isReady: JSON = [["type": "Ready", "status": "True"]]

private let podCases: [PodCase] = [
  PodCase(title: "pending", status: ["phase": "Pending"], ready: "0/1", shown: "Pending"),
  PodCase(
    title: "creating",
    status: ["phase": "Pending", "containerStatuses": [container(["waiting": ["reason": "ContainerCreating"]])]],
    ready: "0/1", shown: "ContainerCreating"),
  PodCase(
    title: "running",
    status: ["phase": "Running", "containerStatuses": [container(running, ready: true)], "conditions": isReady],
    ready: "1/1", shown: "Running"),
  PodCase(
    title: "running, not ready", status: ["phase": "Running", "containerStatuses": [container(running)]], ready: "0/1",
    shown: "Running"),
  PodCase(
    title: "completed", status: ["phase": "Succeeded", "containerStatuses": [container(terminated(0, "Completed"))]],
    ready: "0/1", shown: "Completed"),
  PodCase(
    title: "error", status: ["phase": "Failed", "containerStatuses": [container(terminated(3, "Error"))]], ready: "0/1",
    shown: "Error"),
  PodCase(
    title: "exit code without reason", status: ["phase": "Failed", "containerStatuses": [container(terminated(3))]],
    ready: "0/1", shown: "ExitCode:3"),
  PodCase(
    title: "signal without reason",
    status: ["phase": "Failed", "containerStatuses": [container(terminated(137, signal: 9))]], ready: "0/1",
    shown: "Signal:9"),
  PodCase(
    title: "crash loop",
    status: [
      "phase": "Running",
      "containerStatuses": [
        container(
          ["waiting": ["reason": "CrashLoopBackOff"]], restarts: 3,
          last: ["terminated": ["exitCode": 1, "finishedAt": "2026-11-23T09:59:30Z"]])
      ],
    ], ready: "0/1", shown: "CrashLoopBackOff", restarts: "3 (30s ago)"),
  PodCase(
    title: "restarts without a known time",
    status: ["phase": "Running", "containerStatuses": [container(running, ready: true, restarts: 2)]], ready: "1/1",
    shown: "Running", restarts: "2"),
  PodCase(
    title: "status.reason wins over the phase", status: ["phase": "Failed", "reason": "DeadlineExceeded"], ready: "0/1",
    shown: "DeadlineExceeded"),
  PodCase(
    title: "terminating",
    status: ["phase": "Running", "containerStatuses": [container(running, ready: true)]], ready: "1/1",
    shown: "Terminating", isDeleted: true),
  PodCase(
    title: "deleted after its end",
    status: ["phase": "Succeeded", "containerStatuses": [container(terminated(0, "Completed"))]], ready: "0/1",
    shown: "Completed", isDeleted: true),
  PodCase(
    title: "lost node", status: ["phase": "Running", "reason": "NodeLost"], ready: "0/1", shown: "Unknown",
    isDeleted: true),
  PodCase(
    title: "scheduling gated",
    status: [
      "phase": "Pending", "conditions": [["type": "PodScheduled", "status": "False", "reason": "SchedulingGated"]],
    ], ready: "0/1", shown: "SchedulingGated"),
  PodCase(
    title: "first init container runs",
    status: [
      "phase": "Pending", "initContainerStatuses": [container(running), container(["waiting": ["reason": ""]])],
      "containerStatuses": [container(["waiting": ["reason": "PodInitializing"]])],
    ], ready: "0/1", shown: "Init:0/2", initContainers: [["name": "c"], ["name": "d"]]),
  PodCase(
    title: "second init container waits",
    status: [
      "phase": "Pending",
      "initContainerStatuses": [
        container(terminated(0, "Completed")), container(["waiting": ["reason": "PodInitializing"]]),
      ],
    ], ready: "0/1", shown: "Init:1/2", initContainers: [["name": "c"], ["name": "d"]]),
  PodCase(
    title: "init container fails",
    status: ["phase": "Failed", "initContainerStatuses": [container(terminated(1, "Error"))]], ready: "0/1",
    shown: "Init:Error", initContainers: [["name": "c"]]),
  PodCase(
    title: "init container's exit code",
    status: ["phase": "Failed", "initContainerStatuses": [container(terminated(7))]], ready: "0/1",
    shown: "Init:ExitCode:7", initContainers: [["name": "c"]]),
  PodCase(
    title: "init container's signal",
    status: ["phase": "Failed", "initContainerStatuses": [container(terminated(143, signal: 15))]], ready: "0/1",
    shown: "Init:Signal:15", initContainers: [["name": "c"]]),
  PodCase(
    title: "init crash loop counts its restarts",
    status: [
      "phase": "Pending",
      "initContainerStatuses": [container(["waiting": ["reason": "CrashLoopBackOff"]], restarts: 4)],
    ], ready: "0/1", shown: "Init:CrashLoopBackOff", restarts: "4", initContainers: [["name": "c"]]),
  PodCase(
    title: "after initialisation init restarts do not count",
    status: [
      "phase": "Running",
      "initContainerStatuses": [container(terminated(0, "Completed"), restarts: 4)],
      "containerStatuses": [container(running, ready: true, restarts: 1)],
    ], ready: "1/1", shown: "Running", restarts: "1", initContainers: [["name": "i"]]),
  PodCase(
    title: "two containers, one completed, the pod ready",
    status: [
      "phase": "Running", "conditions": isReady,
      "containerStatuses": [container(terminated(0, "Completed")), container(running, ready: true)],
    ], ready: "1/2", shown: "Running", containers: 2),
  PodCase(
    title: "two containers, one completed, the pod not ready",
    status: [
      "phase": "Running",
      "containerStatuses": [container(terminated(0, "Completed")), container(running, ready: true)],
    ], ready: "1/2", shown: "NotReady", containers: 2),
  PodCase(
    title: "the first container's failure shows",
    status: [
      "phase": "Failed",
      "containerStatuses": [container(terminated(1, "Error")), container(terminated(0, "Completed"))],
    ], ready: "0/2", shown: "Error", containers: 2),
  PodCase(
    title: "the second container's failure shows through the first's success",
    status: [
      "phase": "Failed",
      "containerStatuses": [container(terminated(0, "Completed")), container(terminated(1, "Error"))],
    ], ready: "0/2", shown: "Error", containers: 2),
]

@Suite("tables") struct APITableTests {
  private func pod(_ example: PodCase) -> Pod {
    let names = (0..<example.containers).map { JSON.object(["name": .string("c\($0)")]) }
    var meta = ObjectMeta()
    meta.name = "p"
    meta.creationTimestamp = ago(90)
    if example.isDeleted { meta.deletionTimestamp = ago(1) }
    return Pod(
      meta: meta, spec: PodSpec(json: ["containers": .array(names), "initContainers": example.initContainers]),
      status: PodStatus(json: example.status))
  }

  @Test("a pod's READY, STATUS and RESTARTS", arguments: podCases)
  func podCells(_ example: PodCase) {
    let cells = KindDescriptor.pods.table.cells(.pod(pod(example)), now)
    #expect(cells[1].stringValue == example.ready)
    #expect(cells[2].stringValue == example.shown)
    #expect(cells[3].stringValue == example.restarts)
    #expect(cells[4] == "90s")
    #expect(cells[5...] == ["<none>", "<none>", "<none>", "<none>"])
  }

  @Test("a sidecar counts in READY and RESTARTS and does not hold up STATUS")
  func sidecar() {
    var meta = ObjectMeta()
    meta.name = "p"
    let spec = PodSpec(json: [
      "containers": [["name": "main"]], "initContainers": [["name": "side", "restartPolicy": "Always"]],
    ])
    let status = PodStatus(json: [
      "phase": "Running",
      "initContainerStatuses": [
        ["name": "side", "state": running, "ready": true, "started": true, "restartCount": 2]
      ],
      "containerStatuses": [["name": "main", "state": running, "ready": true, "restartCount": 1]],
    ])
    let cells = KindDescriptor.pods.table.cells(.pod(Pod(meta: meta, spec: spec, status: status)), now)
    #expect(cells[1...3] == ["2/2", "Running", "3"])
  }

  @Test(
    "a Job's STATUS by precedence",
    arguments: [
      ([], "Running"), (["Suspended"], "Suspended"), (["FailureTarget"], "FailureTarget"),
      (["FailureTarget", "Failed"], "Failed"), (["SuccessCriteriaMet"], "SuccessCriteriaMet"),
      (["SuccessCriteriaMet", "Complete"], "Complete"), (["Suspended", "FailureTarget"], "Suspended"),
    ] as [([String], String)])
  func jobStatus(_ conditions: [String], _ shown: String) {
    var job = Job(meta: ObjectMeta(), spec: JobSpec(json: [:]))
    job.status.conditions = conditions.map { Condition(type: $0, status: "True", lastTransition: now) }
    #expect(JobCells.status(job) == shown)
    job.meta.deletionTimestamp = now
    let isFinished = ["Complete", "Failed"].contains(shown)
    #expect(JobCells.status(job) == (isFinished ? shown : "Terminating"))
  }

  @Test(
    "a Job's COMPLETIONS",
    arguments: [
      (["completions": 1, "parallelism": 1], "2/1"), (["completions": 5, "parallelism": 2], "2/5"),
      (["parallelism": 3], "2/1 of 3"), (["parallelism": 1], "2/1"),
    ] as [(JSON, String)])
  func completions(_ spec: JSON, _ shown: String) {
    var job = Job(meta: ObjectMeta(), spec: JobSpec(json: spec))
    job.status.succeeded = 2
    #expect(JobCells.completions(job) == shown)
  }

  @Test("a Job's DURATION: empty before the start, growing while it runs and after it failed")
  func duration() {
    var job = Job(meta: ObjectMeta(), spec: JobSpec(json: [:]))
    #expect(JobCells.duration(job, now) == "")
    job.status.startTime = ago(65)
    #expect(JobCells.duration(job, now) == "65s")
    job.status.conditions = [Condition(type: "Failed", status: "True", lastTransition: ago(60))]
    #expect(JobCells.duration(job, now) == "65s")
    job.status.completionTime = ago(60)
    #expect(JobCells.duration(job, now) == "5s")
  }

  @Test("AGE counts from the whole second of the stamp, as DURATION does, and is never below it")
  func age() {
    let created = ago(1).adding(milliseconds: 400)
    #expect(Tables.age(created, now) == "1s")
    #expect(Tables.age(created, now.adding(milliseconds: 999)) == "1s")
    #expect(Tables.age(created, now.adding(milliseconds: 1_000)) == "2s")
  }

  @Test("the Table of one Job is Kubernetes' own")
  func jobTable() throws {
    let harness = try APIHarness()
    let uid =
      harness.create(.jobs, Manifest.job("done", spec: ["suspend": true])).object[path: ["metadata", "uid"]]?
      .stringValue
      ?? ""
    var options = APIOptions()
    options.includeObject = "None"
    let table = harness.ask(
      APIRequest(verb: .get, kind: .jobs, namespace: "default", name: "done", options: options, form: .table))
    #expect(table.object["kind"] == "Table")
    #expect(table.object["apiVersion"] == "meta.k8s.io/v1")
    let columns = table.object["columnDefinitions"]?.arrayValue ?? []
    #expect(
      columns.map { $0["name"]?.stringValue ?? "" }
        == ["Name", "Status", "Completions", "Duration", "Age", "Containers", "Images", "Selector"])
    #expect(columns.map { $0["priority"]?.intValue ?? -1 } == [0, 0, 0, 0, 0, 1, 1, 1])
    #expect(columns[0]["format"] == "name")
    #expect(columns[1]["description"] == "Status of the job.")
    let row = table.object["rows"]?[0] ?? .null
    #expect(row["object"] == .null)
    #expect(row["cells"]?.arrayValue?.count == 8)
    #expect(row["cells"]?[0] == "done")
    #expect(row["cells"]?[2] == "0/1")
    #expect(row["cells"]?[5] == "main")
    #expect(row["cells"]?[6] == "busybox")
    #expect(row["cells"]?[7]?.stringValue == "batch.kubernetes.io/controller-uid=\(uid)")
  }

  @Test("a list as a Table: the frame has the columns, the rows come before it, with metadata or the object")
  func tableList() throws {
    let harness = try APIHarness()
    for name in ["a", "b"] { harness.create(.configmaps, Manifest.configMap(name)) }
    let answer = harness.ask(APIRequest(verb: .list, kind: .configmaps, namespace: "default", form: .table))
    #expect(answer.object["columnDefinitions"]?.arrayValue?.count == 3)
    #expect(answer.object["rows"] == nil)
    #expect(answer.items.map { $0["cells"] } == [["a", "1", "0s"], ["b", "1", "0s"]])
    #expect(answer.items.allSatisfy { $0["object"]?["kind"] == "PartialObjectMetadata" })
    var options = APIOptions()
    options.includeObject = "Object"
    let whole = harness.ask(
      APIRequest(verb: .list, kind: .configmaps, namespace: "default", options: options, form: .table))
    #expect(whole.items.allSatisfy { $0["object"]?["data"] == ["a": "b"] })
  }

  @Test("each kind has as many cells as columns, the first of them named Name or Last Seen", arguments: Kind.allCases)
  func widths(_ kind: Kind) {
    var json: JSON = ["metadata": ["name": "x", "creationTimestamp": "2026-11-23T09:00:00Z"]]
    json["spec"] = .object(JSONObject())
    let object = APIObject(kind: kind, json: json)
    let table = KindDescriptor.of(kind).table
    #expect(table.cells(object, now).count == table.columns.count)
    #expect(table.columns.filter { $0.format == "name" }.count == 1)
  }

  @Test(
    "a node's STATUS and ROLES",
    arguments: [
      ([:], "Unknown", "<none>"), (["status": "True"], "Ready", "<none>"), (["status": "False"], "NotReady", "<none>"),
      (["status": "Unknown"], "NotReady", "<none>"),
      (["status": "True", "cordoned": true], "Ready,SchedulingDisabled", "<none>"),
    ] as [(JSON, String, String)])
  func nodeCells(_ given: JSON, _ status: String, _ roles: String) {
    var meta = ObjectMeta()
    meta.name = "n"
    var node = Node(meta: meta, capacity: NodeCapacity(cpuMillicores: 1, memoryBytes: 1, pods: 1))
    if let ready = given["status"]?.stringValue {
      node.conditions = [Condition(type: "Ready", status: ready, lastTransition: now)]
    }
    node.unschedulable = given["cordoned"]?.boolValue ?? false
    #expect(KindDescriptor.nodes.table.cells(.node(node), now)[1].stringValue == status)
    #expect(KindDescriptor.nodes.table.cells(.node(node), now)[2].stringValue == roles)
    node.meta.labels = ["node-role.kubernetes.io/b": "", "node-role.kubernetes.io/a": "", "kubernetes.io/role": "c"]
    #expect(KindDescriptor.nodes.table.cells(.node(node), now)[2] == "a,b,c")
  }

  @Test("an Event's row: last seen, object, source, trimmed message")
  func eventCells() {
    let event = APIObject(
      kind: .events,
      json: [
        "metadata": ["name": "e"], "involvedObject": ["kind": "Job", "name": "done"], "type": "Normal",
        "reason": "Completed", "message": " Job completed\n", "count": 4, "source": ["component": "job-controller"],
        "firstTimestamp": "2026-11-23T09:50:00Z", "lastTimestamp": "2026-11-23T09:59:00Z",
      ])
    #expect(
      KindDescriptor.events.table.cells(event, now) == [
        "60s", "Normal", "Completed", "job/done", "", "job-controller", "Job completed", "10m", 4, "e",
      ])
  }
}

@Suite("logs") struct APILogTests {
  private func harness() throws -> APIHarness {
    let harness = try APIHarness()
    harness.create(.pods, Manifest.pod("one"))
    harness.create(
      .pods,
      Manifest.pod(
        "two",
        spec: [
          "containers": [
            ["name": "a", "image": "i", "command": ["x"]], ["name": "b", "image": "i", "command": ["x"]],
          ], "initContainers": [["name": "c", "image": "i", "command": ["x"]]],
        ]))
    return harness
  }

  private func log(
    _ harness: APIHarness, _ pod: String, _ change: (inout APIOptions) -> Void = { _ in }
  ) -> RequestAnswer {
    var options = APIOptions()
    change(&options)
    let id = harness.send(
      APIRequest(verb: .log, kind: .pods, namespace: "default", name: pod, subresource: "log", options: options))
    return harness.answer(id)
  }

  @Test("which pod and container, in Kubernetes' words")
  func messages() throws {
    let harness = try harness()
    #expect(log(harness, "nosuch").message == #"pods "nosuch" not found"#)
    #expect(
      log(harness, "two").message
        == "a container name must be specified for pod two, choose one of: [a b] or one of the init containers: [c]")
    #expect(log(harness, "two") { $0.container = "z" }.message == "container z is not valid for pod two")
    #expect(
      log(harness, "one") { $0.previous = true }.message == #"previous terminated container "c" in pod "one" not found"#
    )
    let waiting = log(harness, "one")
    #expect(waiting.code == 400)
    #expect(waiting.message == #"pod "one" has no node yet: no nodes available to schedule pods"#)
    harness.core.updatePod(ObjectKey(namespace: "default", name: "one")) { $0.nodeName = "n" }
    #expect(
      log(harness, "one").message == #"container "c" in pod "one" is waiting to start: ContainerCreating"#)
    harness.patch(
      .pods, "one", .merge,
      [
        "status": [
          "containerStatuses": [
            ["name": "c", "state": ["waiting": ["reason": "CreateContainerConfigError", "message": "no secret"]]]
          ]
        ]
      ], subresource: "status")
    #expect(
      log(harness, "one").message
        == #"container "c" in pod "one" is waiting to start: CreateContainerConfigError: no secret"#)
    #expect(log(harness, "one") { $0.tailLines = -1 }.code == 422)
    #expect(log(harness, "one") { $0.limitBytes = 0 }.code == 422)
    #expect(log(harness, "one") { $0.sinceSeconds = 0 }.code == 422)
  }

  @Test("a running pod that has no agent to ask is an error, not silence")
  func noAgent() throws {
    let harness = try harness()
    harness.patch(
      .pods, "one", .merge,
      ["status": ["phase": "Running", "containerStatuses": [["name": "c", "state": running]]]], subresource: "status")
    let answer = log(harness, "one")
    #expect(answer.object["status"] == "Failure")
  }
}
