// A pod's status as agents report it and the API shows it. Typed and small: 100,000 finished pods may be in memory.

/// Where a pod is in its life, as Kubernetes names it.
package enum PodPhase: String, Sendable {
  case pending = "Pending", running = "Running", succeeded = "Succeeded", failed = "Failed", unknown = "Unknown"
  /// Whether no container will run again.
  package var isTerminal: Bool { self == .succeeded || self == .failed }
}

/// A condition of a pod, node or Job. `lastTransition` and `lastProbe` in wall time, shown in whole seconds.
package struct Condition: Equatable, Sendable {
  /// The condition's name.
  package var type: String
  /// True, False or Unknown.
  package var status: String
  /// One word for programs; empty for none.
  package var reason: String
  /// A sentence for people; empty for none.
  package var message: String
  /// When the status last changed.
  package var lastTransition: WallTime
  /// lastProbeTime (Jobs, pods) or lastHeartbeatTime (nodes); nil is written as null.
  package var lastProbe: WallTime?

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init(
    type: String, status: String, reason: String = "", message: String = "", lastTransition: WallTime,
    lastProbe: WallTime? = nil
  ) {
    self.type = type
    self.status = status
    self.reason = reason
    self.message = message
    self.lastTransition = lastTransition
    self.lastProbe = lastProbe
  }

  /// Whether the status is True.
  package var isTrue: Bool { status == "True" }

  /// The one type of every pod that is too long to stand inside a string; a literal costs no memory of its own.
  private static let longType = "PodReadyToStartContainers"

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init(json: JSON, probeMember: String = "lastProbeTime") {
    let text = json["type"]?.stringValue ?? ""
    type = text == Self.longType ? Self.longType : text
    status = json["status"]?.stringValue ?? ""
    reason = json["reason"]?.stringValue ?? ""
    message = json["message"]?.stringValue ?? ""
    lastTransition =
      json["lastTransitionTime"]?.stringValue.flatMap { WallTime(rfc3339: $0) } ?? WallTime(nanoseconds: 0)
    lastProbe = json[probeMember]?.stringValue.flatMap { WallTime(rfc3339: $0) }
  }

  /// As the API shows it.
  package func json(probeMember: String = "lastProbeTime") -> JSON {
    var result: JSON = ["type": .string(type), "status": .string(status)]
    result[probeMember] = lastProbe.map { .string($0.rfc3339) } ?? .null
    result["lastTransitionTime"] = .string(lastTransition.rfc3339)
    if !reason.isEmpty { result["reason"] = .string(reason) }
    if !message.isEmpty { result["message"] = .string(message) }
    return result
  }
}

/// State of one container: exactly one of the three.
package enum ContainerState: Equatable, Sendable {
  case waiting(reason: String, message: String)
  case running(startedAt: WallTime)
  case terminated(Termination)

  /// How a container ended.
  package struct Termination: Equatable, Sendable {
    /// Its exit code; 128 + N after signal N.
    package var exitCode: Int64
    /// 0 when the container was not ended by a signal; then exitCode is 128 + signal.
    package var signal: Int64
    /// One word for programs; empty for none.
    package var reason: String
    /// A sentence for people; empty for none.
    package var message: String
    /// When it was started.
    package var startedAt: WallTime
    /// When it ended.
    package var finishedAt: WallTime

    /// Takes each value as it stands; from JSON, what is missing has its default.
    package init(
      exitCode: Int64, signal: Int64 = 0, reason: String, message: String = "", startedAt: WallTime,
      finishedAt: WallTime
    ) {
      self.exitCode = exitCode
      self.signal = signal
      self.reason = reason
      self.message = message
      self.startedAt = startedAt
      self.finishedAt = finishedAt
    }
  }

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init?(json: JSON?) {
    func time(_ json: JSON?) -> WallTime {
      json?.stringValue.flatMap { WallTime(rfc3339: $0) } ?? WallTime(nanoseconds: 0)
    }
    if let waiting = json?["waiting"] {
      self = .waiting(reason: waiting["reason"]?.stringValue ?? "", message: waiting["message"]?.stringValue ?? "")
    } else if let running = json?["running"] {
      self = .running(startedAt: time(running["startedAt"]))
    } else if let ended = json?["terminated"] {
      self = .terminated(
        Termination(
          exitCode: (ended["exitCode"]?.intValue ?? 0).clampedToInt32,
          signal: (ended["signal"]?.intValue ?? 0).clampedToInt32,
          reason: ended["reason"]?.stringValue ?? "", message: ended["message"]?.stringValue ?? "",
          startedAt: time(ended["startedAt"]), finishedAt: time(ended["finishedAt"])))
    } else {
      return nil
    }
  }

  /// As the API shows it.
  package var json: JSON {
    switch self {
    case .waiting(let reason, let message):
      var body: JSON = ["reason": .string(reason)]
      if !message.isEmpty { body["message"] = .string(message) }
      return ["waiting": body]
    case .running(let startedAt): return ["running": ["startedAt": .string(startedAt.rfc3339)]]
    case .terminated(let end):
      var body: JSON = ["exitCode": .int(end.exitCode), "reason": .string(end.reason)]
      if end.signal != 0 { body["signal"] = .int(end.signal) }
      if !end.message.isEmpty { body["message"] = .string(end.message) }
      if end.startedAt.nanoseconds != 0 { body["startedAt"] = .string(end.startedAt.rfc3339) }
      if end.finishedAt.nanoseconds != 0 { body["finishedAt"] = .string(end.finishedAt.rfc3339) }
      return ["terminated": body]
    }
  }

  /// How it ended; nil while it has not.
  package var termination: Termination? { if case .terminated(let end) = self { end } else { nil } }
  /// Whether it runs.
  package var isRunning: Bool { if case .running = self { true } else { false } }
}

/// One entry of status.containerStatuses, status.initContainerStatuses or status.ephemeralContainerStatuses.
package struct ContainerStatus: Equatable, Sendable {
  /// The container's name.
  package var name: String
  /// The image: its complete name once it runs in one, else as the spec names it.
  package var image: String
  /// The image that it runs in, by its digest; empty: it runs in none, or not yet.
  package var imageID: String
  /// What it does now.
  package var state: ContainerState
  /// How its run before this one ended.
  package var lastTermination: ContainerState.Termination?
  /// Whether it counts as ready.
  package var ready: Bool
  /// Whether its start is over; nil: not told.
  package var started: Bool?
  /// How often it was started again.
  package var restartCount: Int64

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init(
    name: String, image: String, imageID: String = "", state: ContainerState,
    lastTermination: ContainerState.Termination? = nil, ready: Bool = false, started: Bool? = nil,
    restartCount: Int64 = 0
  ) {
    self.name = name
    self.image = image
    self.imageID = imageID
    self.state = state
    self.lastTermination = lastTermination
    self.ready = ready
    self.started = started
    self.restartCount = restartCount
  }

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init(json: JSON) {
    name = json["name"]?.stringValue ?? ""
    image = json["image"]?.stringValue ?? ""
    imageID = json["imageID"]?.stringValue ?? ""
    state = ContainerState(json: json["state"]) ?? .waiting(reason: "ContainerCreating", message: "")
    lastTermination = ContainerState(json: json["lastState"])?.termination
    ready = json["ready"]?.boolValue ?? false
    started = json["started"]?.boolValue
    // An agent may say any number; what clients cannot read is not kept.
    restartCount = max(0, json["restartCount"]?.intValue ?? 0).clampedToInt32
  }

  /// As the API shows it.
  package var json: JSON {
    var result: JSON = [
      "name": .string(name), "image": .string(image), "imageID": .string(imageID), "state": state.json,
      "ready": .bool(ready), "restartCount": .int(restartCount),
    ]
    result["lastState"] = lastTermination.map { ContainerState.terminated($0).json } ?? .object(JSONObject())
    if let started { result["started"] = .bool(started) }
    return result
  }
}

/// status of a pod.
package struct PodStatus: Equatable, Sendable {
  /// Where in its life the pod is.
  package var phase = PodPhase.pending
  /// One word for programs; empty for none.
  package var reason = ""
  /// A sentence for people; empty for none.
  package var message = ""
  /// Conditions, in the order of their first appearance.
  package var conditions: [Condition] = []
  /// Address of its node; empty while it has none.
  package var hostIP = ""
  /// Its own address; empty while it has none.
  package var podIP = ""
  /// When its node took it.
  package var startTime: WallTime?
  /// One for each init container, in their order.
  package var initContainers: [ContainerStatus] = []
  /// One for each container, in their order.
  package var containers: [ContainerStatus] = []
  /// One for each container that was added and that the node knows of, in their order.
  package var ephemeralContainers: [ContainerStatus] = []
  /// The attempt's fencing token (C8); nil until assigned.
  package var fencingToken: Int64?
  /// Kubernetes' quality of service.
  package var qosClass = ""
  /// The node whose pods make room for it; empty for none.
  package var nominatedNodeName = ""

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init() {}

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init(json: JSON?) {
    guard let json else { return }
    phase = json["phase"]?.stringValue.flatMap { PodPhase(rawValue: $0) } ?? .pending
    reason = json["reason"]?.stringValue ?? ""
    message = json["message"]?.stringValue ?? ""
    conditions = (json["conditions"]?.arrayValue ?? []).map { Condition(json: $0) }
    hostIP = json["hostIP"]?.stringValue ?? ""
    podIP = json["podIP"]?.stringValue ?? ""
    startTime = json["startTime"]?.stringValue.flatMap { WallTime(rfc3339: $0) }
    initContainers = (json["initContainerStatuses"]?.arrayValue ?? []).map { ContainerStatus(json: $0) }
    containers = (json["containerStatuses"]?.arrayValue ?? []).map { ContainerStatus(json: $0) }
    ephemeralContainers = (json["ephemeralContainerStatuses"]?.arrayValue ?? []).map { ContainerStatus(json: $0) }
    fencingToken = json["fencingToken"]?.intValue
    qosClass = json["qosClass"]?.stringValue ?? ""
    nominatedNodeName = json["nominatedNodeName"]?.stringValue ?? ""
  }

  /// As the API shows it.
  package var json: JSON {
    var result: JSON = ["phase": .string(phase.rawValue)]
    if !reason.isEmpty { result["reason"] = .string(reason) }
    if !message.isEmpty { result["message"] = .string(message) }
    if !conditions.isEmpty { result["conditions"] = .array(conditions.map { $0.json() }) }
    if !hostIP.isEmpty {
      result["hostIP"] = .string(hostIP)
      result["hostIPs"] = [["ip": .string(hostIP)]]
    }
    if !podIP.isEmpty {
      result["podIP"] = .string(podIP)
      result["podIPs"] = [["ip": .string(podIP)]]
    }
    if let startTime { result["startTime"] = .string(startTime.rfc3339) }
    if !initContainers.isEmpty { result["initContainerStatuses"] = .array(initContainers.map(\.json)) }
    if !containers.isEmpty { result["containerStatuses"] = .array(containers.map(\.json)) }
    if !ephemeralContainers.isEmpty {
      result["ephemeralContainerStatuses"] = .array(ephemeralContainers.map(\.json))
    }
    if let fencingToken { result["fencingToken"] = .int(fencingToken) }
    if !qosClass.isEmpty { result["qosClass"] = .string(qosClass) }
    if !nominatedNodeName.isEmpty { result["nominatedNodeName"] = .string(nominatedNodeName) }
    return result
  }

  /// The condition of that type.
  package func condition(_ type: String) -> Condition? { conditions.first { $0.type == type } }

  /// Sets or replaces the condition of that type; the transition time is kept when the status does not change.
  package mutating func set(_ condition: Condition) { conditions.set(condition) }

  /// Bytes of the containers' termination messages: what makes a status long.
  package var messageBytes: Int {
    func bytes(_ list: [ContainerStatus]) -> Int {
      list.reduce(0) {
        $0 + ($1.state.termination?.message.utf8.count ?? 0) + ($1.lastTermination?.message.utf8.count ?? 0)
      }
    }
    return bytes(allContainers)
  }

  /// Of all its containers, those that were added last.
  package var allContainers: [ContainerStatus] { initContainers + containers + ephemeralContainers }

  /// True when the Ready condition is True.
  package var isReady: Bool { condition("Ready")?.isTrue ?? false }
}

extension [Condition] {
  /// Sets or replaces by type; keeps lastTransition when `status` stays the same (Kubernetes' condition rule).
  package mutating func set(_ condition: Condition) {
    guard let position = firstIndex(where: { $0.type == condition.type }) else {
      append(condition)
      return
    }
    var next = condition
    if self[position].status == condition.status { next.lastTransition = self[position].lastTransition }
    self[position] = next
  }
}
