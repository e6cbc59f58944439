// The JSON of what coordinator and agents say to each other (docs/protocol.md). Each message is an object with a
// `type`. Unknown members are ignored; an unknown type, a missing or a mistyped member is an error that names it.
// Never traps.

extension AgentMessage {
  /// What stands in an agent's message as its `type`: the one list of what agents may say.
  package enum Name: String, CaseIterable, Sendable {
    case register, heartbeat, reports, fetch, tokens, retained, events, images, usage, volumesRemoved
  }

  /// The message as the frame's JSON.
  package var json: JSON {
    switch self {
    case .register(let registration):
      var result = registration.json
      result["type"] = "register"
      return result
    case .heartbeat(let heartbeat):
      var result = heartbeat.json
      result["type"] = "heartbeat"
      return result
    case .reports(let reports): return ["type": "reports", "reports": .array(reports.map(\.json))]
    case .fetch(let attempts): return ["type": "fetch", "attempts": .integers(attempts)]
    case .tokens(let attempts): return ["type": "tokens", "attempts": .integers(attempts)]
    case .retained(let attempts): return ["type": "retained", "attempts": .integers(attempts)]
    case .events(let facts): return ["type": "events", "events": .array(facts.map(\.json))]
    case .usage(let report): return report.json
    case .images(let images): return ["type": "images", "images": .array(images.map(\.json))]
    case .volumesRemoved(let volumes, let failed):
      return ["type": "volumesRemoved", "volumes": .strings(volumes), "failed": .array(failed.map(\.json))]
    }
  }

  /// Reads a message's JSON. Throws what is missing or of the wrong type.
  package init(json: JSON) throws(MessageError) {
    let reader = try MessageReader(json, "agent message")
    let type = try reader.string("type")
    guard let name = Name(rawValue: type) else { throw MessageError("unknown agent message type \"\(type)\"") }
    switch name {
    case .register: self = .register(try Registration(json: json, type))
    case .heartbeat: self = .heartbeat(try Heartbeat(json: json, type))
    case .reports:
      self = .reports(try MessageReader(json, type).list("reports", AttemptReport.init(json:_:)))
    case .fetch: self = .fetch(try MessageReader(json, type).list("attempts", MessageReader.integer))
    case .tokens: self = .tokens(try MessageReader(json, type).list("attempts", MessageReader.integer))
    case .retained: self = .retained(try MessageReader(json, type).list("attempts", MessageReader.integer))
    case .events: self = .events(try MessageReader(json, type).list("events", PodFact.init(json:_:)))
    case .usage: self = .usage(try UsageReport(json: json, type))
    case .images: self = .images(try MessageReader(json, type).list("images", NodeImage.init(json:_:)))
    case .volumesRemoved:
      let reader = try MessageReader(json, type)
      self = .volumesRemoved(
        try reader.list("volumes", MessageReader.string),
        failed: try reader.list("failed", VolumeProblem.init(json:_:)))
    }
  }
}

extension CoordinatorMessage {
  /// The message as the frame's JSON.
  package var json: JSON {
    switch self {
    case .registered(let session, let incarnation, let heartbeat, let lease, let mark):
      var result: JSON = [
        "type": "registered", "session": .string(session), "incarnation": .int(incarnation),
        "heartbeatMilliseconds": .int(heartbeat), "leaseMilliseconds": .int(lease),
      ]
      if !mark.isEmpty { result["mark"] = .string(mark) }
      return result
    case .refused(let reason, let retry):
      var result: JSON = ["type": "refused", "reason": .string(reason)]
      if let retry { result["retryMilliseconds"] = .int(retry) }
      return result
    case .answer(let answer):
      var result = answer.json
      result["type"] = "answer"
      return result
    case .assignments(let assignments):
      return ["type": "assignments", "assignments": .array(assignments.map(\.json))]
    case .measure(let milliseconds): return ["type": "measure", "milliseconds": .int(milliseconds)]
    case .tokens(let tokens): return ["type": "tokens", "tokens": .array(tokens.map(\.json))]
    case .logs(let request):
      var result = request.json
      result["type"] = "logs"
      return result
    case .stream(let request):
      var result = request.json
      result["type"] = "stream"
      return result
    case .removeVolumes(let volumes): return ["type": "removeVolumes", "volumes": .strings(volumes)]
    case .purge(let attempts): return ["type": "purge", "attempts": .integers(attempts)]
    }
  }

  /// Reads a message's JSON. Throws what is missing or of the wrong type.
  package init(json: JSON) throws(MessageError) {
    let type = try MessageReader(json, "coordinator message").string("type")
    let reader = try MessageReader(json, type)
    switch type {
    case "registered":
      self = .registered(
        session: try reader.string("session"), incarnation: try reader.integer("incarnation"),
        heartbeatMilliseconds: try reader.integer("heartbeatMilliseconds"),
        leaseMilliseconds: try reader.integer("leaseMilliseconds"), mark: try reader.optionalString("mark") ?? "")
    case "refused":
      self = .refused(
        reason: try reader.string("reason"), retryMilliseconds: try reader.optionalInteger("retryMilliseconds"))
    case "answer": self = .answer(try Answer(json: json, type))
    case "assignments": self = .assignments(try reader.list("assignments", Assignment.reader()))
    case "measure": self = .measure(milliseconds: try reader.integer("milliseconds"))
    case "tokens": self = .tokens(try reader.list("tokens", AttemptTokens.init(json:_:)))
    case "logs": self = .logs(try LogRequest(json: json, type))
    case "stream": self = .stream(try PodStreamRequest(json: json, type))
    case "removeVolumes": self = .removeVolumes(try reader.list("volumes", MessageReader.string))
    case "purge": self = .purge(try reader.list("attempts", MessageReader.integer))
    default: throw MessageError("unknown coordinator message type \"\(type)\"")
    }
  }
}

extension DesiredAttempt {
  var json: JSON {
    var result: JSON = ["attempt": .int(attempt)]
    if case .stop(let grace) = action { result["stopGraceMilliseconds"] = .int(grace) }
    return result
  }

  init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    let grace = try reader.optionalInteger("stopGraceMilliseconds")
    self.init(attempt: try reader.integer("attempt"), action: grace.map { .stop(graceMilliseconds: $0) } ?? .run)
  }
}

extension Assignment {
  /// The message's JSON, as `init(json:)` reads it.
  package var json: JSON {
    var result: JSON = [
      "attempt": .int(attempt), "keeper": .string(keeper), "session": .string(session),
      "namespace": .string(namespace), "podName": .string(podName), "podUID": .string(podUID), "labels": labels.json,
      "annotations": annotations.json, "spec": spec.json, "references": .object(references),
    ]
    if let hostname { result["hostname"] = .string(hostname) }
    if let tolerationMilliseconds { result["tolerationMilliseconds"] = .int(tolerationMilliseconds) }
    if !tokens.isEmpty { result["tokens"] = .array(tokens.map(\.json)) }
    if let api {
      var json: JSON = ["host": .string(api.host), "port": .int(api.port)]
      if let native = api.native { json["native"] = .int(native) }
      result["api"] = json
    }
    if !proof.isEmpty { result["proof"] = .string(proof) }
    return result
  }

  /// Reads one after the other of a message: a Job's pods, which come together, share one spec as at the coordinator.
  package static func reader() -> (JSON, String) throws(MessageError) -> Assignment {
    var last: (json: JSON, spec: PodSpec)?
    return { (json, what) throws(MessageError) in
      let known: PodSpec? = if let last, json["spec"] == last.json { last.spec } else { nil }
      let assignment = try Assignment(json: json, what, spec: known)
      if known == nil, let spec = json["spec"] { last = (spec, assignment.spec) }
      return assignment
    }
  }

  /// Reads a message's JSON. Throws what is missing or of the wrong type.
  package init(json: JSON, _ what: String) throws(MessageError) { try self.init(json: json, what, spec: nil) }

  /// `known`: what its spec says, where that was read already.
  private init(json: JSON, _ what: String, spec known: PodSpec?) throws(MessageError) {
    let reader = try MessageReader(json, what)
    let spec = if let known { known } else { PodSpec(json: .object(try reader.object("spec"))) }
    var api: APIAddress?
    if let host = json["api"]?["host"]?.stringValue, let port = json["api"]?["port"]?.intValue {
      api = APIAddress(host: host, port: port, native: json["api"]?["native"]?.intValue)
    }
    self.init(
      attempt: try reader.integer("attempt"), keeper: try reader.string("keeper"),
      session: try reader.string("session"), namespace: try reader.string("namespace"),
      podName: try reader.string("podName"), podUID: try reader.string("podUID"),
      labels: StringMap(json: .object(try reader.object("labels"))),
      annotations: StringMap(json: .object(try reader.object("annotations"))),
      spec: spec,
      hostname: try reader.optionalString("hostname"), references: try reader.object("references"),
      tolerationMilliseconds: try reader.optionalInteger("tolerationMilliseconds"),
      tokens: try reader.optionalList("tokens", PodToken.init(json:_:)), api: api,
      proof: try reader.optionalString("proof") ?? "")
  }
}

extension AttemptReport {
  /// The message's JSON, as `init(json:)` reads it.
  package var json: JSON {
    var result: JSON = ["attempt": .int(attempt), "revision": .int(revision), "status": status.json]
    if frozen { result["frozen"] = true }
    return result
  }

  /// Reads a message's JSON. Throws what is missing or of the wrong type.
  package init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    let status = try reader.object("status")
    // A report whose phase cannot be read would pass for Pending.
    guard let phase = status["phase"]?.stringValue, PodPhase(rawValue: phase) != nil else {
      throw MessageError("\(what).status.phase: expected a pod phase")
    }
    self.init(
      attempt: try reader.integer("attempt"), revision: try reader.integer("revision"),
      status: PodStatus(json: .object(status)), frozen: try reader.flag("frozen"))
  }
}

extension InventoryEntry {
  var json: JSON {
    var result: JSON = ["attempt": .int(attempt), "revision": .int(revision)]
    if terminal { result["terminal"] = true }
    if frozen { result["frozen"] = true }
    return result
  }

  init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    self.init(
      attempt: try reader.integer("attempt"), revision: try reader.integer("revision"),
      terminal: try reader.flag("terminal"), frozen: try reader.flag("frozen"))
  }
}

extension Registration {
  var json: JSON {
    var result: JSON = [
      "node": .string(node), "machineID": .string(machineID), "bootID": .string(bootID), "keeper": .string(keeper),
      "sweptKeepers": .strings(sweptKeepers),
      "capacity": [
        "cpuMillicores": .int(capacity.cpuMillicores), "memoryBytes": .int(capacity.memoryBytes),
        "pods": .int(capacity.pods),
      ], "labels": labels.json, "address": .string(address), "info": info,
      "conditions": .array(conditions.map { $0.json() }), "fencesFully": .bool(fencesFully),
      "highestIncarnation": .int(highestIncarnation), "highestAttempt": .int(highestAttempt),
    ]
    if let bytes = capacity.storageBytes { result[path: ["capacity", "storageBytes"]] = .int(bytes) }
    if !hardwareID.isEmpty { result["hardwareID"] = .string(hardwareID) }
    if !directory.isEmpty { result["directory"] = .string(directory) }
    if !rememberedCluster.isEmpty { result["rememberedCluster"] = .string(rememberedCluster) }
    if !incarnationMark.isEmpty { result["incarnationMark"] = .string(incarnationMark) }
    if let provenAttempt { result["provenAttempt"] = provenAttempt.json }
    if !capacity.extended.isEmpty {
      var extended: JSON = .object(JSONObject())
      for resource in capacity.extended { extended[resource.name] = .int(resource.amount) }
      result["extended"] = extended
    }
    if let reserved {
      result["reserved"] = [
        "cpuMillicores": .int(reserved.cpuMillicores), "memoryBytes": .int(reserved.memoryBytes),
        "storageBytes": .int(reserved.storageBytes),
      ]
    }
    if let uptimeMilliseconds { result["uptimeMilliseconds"] = .int(uptimeMilliseconds) }
    return result
  }

  init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    // As a resource list, which it is but for the text of its numbers.
    let extended = ResourceAmount.list(json["extended"])
    let capacity = try reader.member("capacity") { (json, what) throws(MessageError) in
      let reader = try MessageReader(json, what)
      return NodeCapacity(
        cpuMillicores: try reader.integer("cpuMillicores"), memoryBytes: try reader.integer("memoryBytes"),
        pods: try reader.integer("pods"), extended: extended,
        storageBytes: try reader.optionalInteger("storageBytes"))
    }
    let reserved = try json["reserved"].map { (json) throws(MessageError) in
      let reader = try MessageReader(json, what)
      return NodeReserve(
        cpuMillicores: max(0, try reader.integer("cpuMillicores")),
        memoryBytes: max(0, try reader.integer("memoryBytes")),
        storageBytes: max(0, try reader.optionalInteger("storageBytes") ?? 0))
    }
    let conditions = try reader.list("conditions") { (json, what) throws(MessageError) in
      let reader = try MessageReader(json, what)
      _ = try reader.string("type")
      _ = try reader.string("status")
      return Condition(json: json)
    }
    self.init(
      node: try reader.string("node"), machineID: try reader.string("machineID"), bootID: try reader.string("bootID"),
      keeper: try reader.string("keeper"), sweptKeepers: try reader.list("sweptKeepers", MessageReader.string),
      capacity: capacity, labels: StringMap(json: .object(try reader.object("labels"))),
      address: try reader.string("address"), info: .object(try reader.object("info")), conditions: conditions,
      fencesFully: try reader.boolean("fencesFully"), highestIncarnation: try reader.integer("highestIncarnation"),
      highestAttempt: try reader.integer("highestAttempt"), hardwareID: try reader.optionalString("hardwareID") ?? "",
      directory: try reader.optionalString("directory") ?? "",
      uptimeMilliseconds: try reader.optionalInteger("uptimeMilliseconds"),
      incarnationMark: try reader.optionalString("incarnationMark") ?? "",
      rememberedCluster: try reader.optionalString("rememberedCluster") ?? "",
      provenAttempt: reader.optional("provenAttempt") == nil
        ? nil : try reader.member("provenAttempt", ProvenAttempt.init(json:_:)), reserved: reserved)
  }
}

extension ProvenAttempt {
  /// The message's JSON, as `init(json:)` reads it.
  package var json: JSON { ["attempt": .int(attempt), "proof": .string(proof)] }

  /// Reads a message's JSON. Throws what is missing or of the wrong type.
  package init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    self.init(attempt: try reader.integer("attempt"), proof: try reader.string("proof"))
  }
}

extension Heartbeat {
  var json: JSON {
    var result: JSON = [
      "sequence": .int(sequence), "echo": .int(echo), "desiredDigest": .digest(desiredDigest),
      "inventoryDigest": .digest(inventoryDigest),
    ]
    if let inventory { result["inventory"] = .array(inventory.map(\.json)) }
    if let diskStalledMilliseconds { result["diskStalledMilliseconds"] = .int(diskStalledMilliseconds) }
    for kind in NodePressure.allCases where pressures.contains(kind) { result[kind.member] = true }
    if let remains { result["filesRemain"] = .string(remains) }
    for (kind, reason) in spared { result[kind.sparedMember] = .string(reason) }
    if let leasesSettleMilliseconds { result["leasesSettleMilliseconds"] = .int(leasesSettleMilliseconds) }
    return result
  }

  init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    let inventory =
      reader.optional("inventory") == nil ? nil : try reader.list("inventory", InventoryEntry.init(json:_:))
    var pressures: Set<NodePressure> = []
    for kind in NodePressure.allCases where try reader.flag(kind.member) { pressures.insert(kind) }
    self.init(
      sequence: try reader.integer("sequence"), echo: try reader.integer("echo"),
      desiredDigest: try reader.digest("desiredDigest"), inventoryDigest: try reader.digest("inventoryDigest"),
      inventory: inventory, diskStalledMilliseconds: try reader.optionalInteger("diskStalledMilliseconds"),
      pressures: pressures,
      leasesSettleMilliseconds: try reader.optionalInteger("leasesSettleMilliseconds"))
    func words(_ member: String) throws(MessageError) -> String? {
      let text = try reader.optionalString(member)
      return text.map { $0.utf8.count > 1_000 ? String($0.prefix(200)) : $0 }
    }
    for kind in NodePressure.allCases { spared[kind] = try words(kind.sparedMember) }
    remains = try words("filesRemain")
  }
}

extension Answer {
  var json: JSON {
    var result: JSON = [
      "number": .int(number), "sequence": .int(sequence), "leaseMilliseconds": .int(leaseMilliseconds),
      "desiredDigest": .digest(desiredDigest),
    ]
    if !changes.isEmpty { result["changes"] = .array(changes.map(\.json)) }
    if !removed.isEmpty { result["removed"] = .integers(removed) }
    if let full { result["full"] = .array(full.map(\.json)) }
    if !acknowledged.isEmpty { result["acknowledged"] = .integers(acknowledged) }
    if wantsInventory { result["wantsInventory"] = true }
    if !assignments.isEmpty { result["assignments"] = .array(assignments.map(\.json)) }
    if !grown.isEmpty { result["grown"] = .integers(grown) }
    return result
  }

  init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    let full = reader.optional("full") == nil ? nil : try reader.list("full", DesiredAttempt.init(json:_:))
    self.init(
      number: try reader.integer("number"), sequence: try reader.integer("sequence"),
      leaseMilliseconds: try reader.integer("leaseMilliseconds"), desiredDigest: try reader.digest("desiredDigest"),
      changes: try reader.optionalList("changes", DesiredAttempt.init(json:_:)),
      removed: try reader.optionalList("removed", MessageReader.integer), full: full,
      acknowledged: try reader.optionalList("acknowledged", MessageReader.integer),
      wantsInventory: try reader.flag("wantsInventory"),
      assignments: try reader.optionalList("assignments", Assignment.reader()),
      grown: try reader.optionalList("grown", MessageReader.integer))
  }
}

extension LogRequest {
  var json: JSON {
    var result: JSON = ["stream": .string(stream), "attempt": .int(attempt), "container": .string(container)]
    if follow { result["follow"] = true }
    if previous { result["previous"] = true }
    if timestamps { result["timestamps"] = true }
    if let tailLines { result["tailLines"] = .int(tailLines) }
    if let sinceSeconds { result["sinceSeconds"] = .int(sinceSeconds) }
    if let sinceTime { result["sinceTimeNanoseconds"] = .int(sinceTime.nanoseconds) }
    if let limitBytes { result["limitBytes"] = .int(limitBytes) }
    return result
  }

  init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    self.init(
      stream: try reader.string("stream"), attempt: try reader.integer("attempt"),
      container: try reader.string("container"), follow: try reader.flag("follow"),
      previous: try reader.flag("previous"), tailLines: try reader.optionalInteger("tailLines"),
      sinceSeconds: try reader.optionalInteger("sinceSeconds"),
      sinceTime: try reader.optionalInteger("sinceTimeNanoseconds").map { WallTime(nanoseconds: $0) },
      timestamps: try reader.flag("timestamps"), limitBytes: try reader.optionalInteger("limitBytes"))
  }
}
