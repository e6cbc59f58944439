// The JSON of what an agent and its keeper say to each other: objects with a `type`, as in AgentMessages+JSON.
// Agent and keeper may be one version apart: unknown members are ignored, an unknown type is an error value.

extension KeeperRequest {
  /// The message as the frame's JSON.
  package var json: JSON {
    switch self {
    case .hello(let version): return ["type": "hello", "agentVersion": .string(version)]
    case .renew(let leaseEnd, let attempts):
      var result: JSON = ["type": "renew", "leaseEnd": .int(leaseEnd.milliseconds)]
      if let attempts { result["attempts"] = .integers(attempts) }
      return result
    case .shorten(let leaseEnd, let number):
      return ["type": "shorten", "leaseEnd": .int(leaseEnd.milliseconds), "number": .int(number)]
    case .start(let assignment, let plan, let leaseEnd):
      return [
        "type": "start", "assignment": assignment.json, "plan": plan.json, "leaseEnd": .int(leaseEnd.milliseconds),
      ]
    case .unprepared(let assignment, let container, let reason, let message, let leaseEnd):
      return [
        "type": "unprepared", "assignment": assignment.json, "container": .string(container),
        "reason": .string(reason), "message": .string(message), "leaseEnd": .int(leaseEnd.milliseconds),
      ]
    case .add(let attempt, let container):
      return ["type": "add", "attempt": .int(attempt), "container": container.json]
    case .addWaits(let attempt, let container, let image, let reason, let message):
      return [
        "type": "addWaits", "attempt": .int(attempt), "container": .string(container), "image": .string(image),
        "reason": .string(reason), "message": .string(message),
      ]
    case .stop(let attempt, let grace):
      return ["type": "stop", "attempt": .int(attempt), "graceMilliseconds": .int(grace)]
    case .thaw(let attempt): return ["type": "thaw", "attempt": .int(attempt)]
    case .acknowledge(let attempts): return ["type": "acknowledge", "attempts": .integers(attempts)]
    case .measure: return ["type": "measure"]
    case .relieve(let shortage): return ["type": "relieve", "shortage": shortage.json]
    case .shutDown(let grace): return ["type": "shutDown", "graceMilliseconds": .int(grace)]
    }
  }

  /// Reads a message's JSON. Throws what is missing or of the wrong type.
  package init(json: JSON) throws(MessageError) {
    let type = try MessageReader(json, "keeper request").string("type")
    let reader = try MessageReader(json, type)
    func leaseEnd() throws(MessageError) -> BootTime { BootTime(milliseconds: try reader.integer("leaseEnd")) }
    switch type {
    case "hello": self = .hello(agentVersion: try reader.string("agentVersion"))
    case "renew":
      let all = reader.optional("attempts") == nil
      self = .renew(
        leaseEnd: try leaseEnd(), attempts: all ? nil : try reader.list("attempts", MessageReader.integer))
    case "shorten": self = .shorten(leaseEnd: try leaseEnd(), number: try reader.integer("number"))
    case "start":
      self = .start(
        try reader.member("assignment", Assignment.init(json:_:)),
        plan: try reader.member("plan", PodPlan.init(json:_:)),
        leaseEnd: try leaseEnd())
    case "unprepared":
      self = .unprepared(
        try reader.member("assignment", Assignment.init(json:_:)), container: try reader.string("container"),
        reason: try reader.string("reason"), message: try reader.string("message"), leaseEnd: try leaseEnd())
    case "add":
      self = .add(
        try reader.integer("attempt"), try reader.member("container", PodPlan.Container.init(json:_:)))
    case "addWaits":
      self = .addWaits(
        try reader.integer("attempt"), container: try reader.string("container"), image: try reader.string("image"),
        reason: try reader.string("reason"), message: try reader.string("message"))
    case "stop":
      self = .stop(try reader.integer("attempt"), graceMilliseconds: try reader.integer("graceMilliseconds"))
    case "thaw": self = .thaw(try reader.integer("attempt"))
    case "acknowledge": self = .acknowledge(try reader.list("attempts", MessageReader.integer))
    case "measure": self = .measure
    case "relieve": self = .relieve(try reader.member("shortage", Shortage.init(json:_:)))
    case "shutDown": self = .shutDown(graceMilliseconds: try reader.integer("graceMilliseconds"))
    default: throw MessageError("unknown keeper request type \"\(type)\"")
    }
  }
}

extension KeeperReply {
  /// The message as the frame's JSON.
  package var json: JSON {
    switch self {
    case .hello(let keeper, let directory, let swept, let highest, let fencesFully, let detail):
      [
        "type": "hello", "keeper": .string(keeper), "directory": .string(directory), "sweptKeepers": .strings(swept),
        "highestAttempt": .int(highest), "fencesFully": .bool(fencesFully), "fencingDetail": .string(detail),
      ]
    case .limits(let abilities): ["type": "limits", "limits": abilities.json]
    case .devices(let held):
      [
        "type": "devices",
        "pods": .array(
          held.keys.sorted().map { ["attempt": .int($0), "devices": PodPlan.json(held[$0] ?? [:])] }),
      ]
    case .concern(let text): ["type": "concern", "text": .string(text)]
    case .proven(let proven): ["type": "proven", "proven": proven.json]
    case .reports(let reports): ["type": "reports", "reports": .array(reports.map(\.json))]
    case .events(let facts): ["type": "events", "events": .array(facts.map(\.json))]
    case .usage(let pods): ["type": "usage", "pods": .array(pods.map(\.json))]
    case .relief(let kind, let spared):
      ["type": "relief", "of": .string(kind.rawValue), "spared": .string(spared)]
    case .shortened(let number, let settle):
      ["type": "shortened", "number": .int(number), "settleMilliseconds": .int(settle)]
    }
  }

  /// Reads a message's JSON. Throws what is missing or of the wrong type.
  package init(json: JSON) throws(MessageError) {
    let type = try MessageReader(json, "keeper reply").string("type")
    let reader = try MessageReader(json, type)
    switch type {
    case "hello":
      self = .hello(
        keeper: try reader.string("keeper"), directory: try reader.optionalString("directory") ?? "",
        sweptKeepers: try reader.list("sweptKeepers", MessageReader.string),
        highestAttempt: try reader.integer("highestAttempt"), fencesFully: try reader.boolean("fencesFully"),
        fencingDetail: try reader.string("fencingDetail"))
    case "limits": self = .limits(try reader.member("limits", LimitAbilities.init(json:_:)))
    case "devices":
      var held: [AttemptNumber: [String: [Int64]]] = [:]
      for pod in json["pods"]?.arrayValue ?? [] {
        held[try MessageReader(pod, type).integer("attempt")] = PodPlan.devices(pod["devices"])
      }
      self = .devices(held)
    case "concern": self = .concern(try reader.string("text"))
    case "proven": self = .proven(try reader.member("proven", ProvenAttempt.init(json:_:)))
    case "reports": self = .reports(try reader.list("reports", AttemptReport.init(json:_:)))
    case "events": self = .events(try reader.list("events", PodFact.init(json:_:)))
    case "usage": self = .usage(try reader.list("pods", AttemptUsage.init(json:_:)))
    case "relief":
      guard let kind = NodePressure(rawValue: try reader.string("of")) else {
        throw MessageError("\(type).of: expected what a node is short of")
      }
      self = .relief(kind, spared: try reader.string("spared"))
    case "shortened":
      self = .shortened(
        number: try reader.integer("number"), settleMilliseconds: try reader.integer("settleMilliseconds"))
    default: throw MessageError("unknown keeper reply type \"\(type)\"")
    }
  }
}

extension PodPlan {
  /// The message's JSON, as `init(json:)` reads it.
  package var json: JSON {
    var result: JSON = [
      "initContainers": .array(initContainers.map(\.json)), "containers": .array(containers.map(\.json)),
      "restartPolicy": .string(restartPolicy.rawValue),
      "terminationGraceMilliseconds": .int(terminationGraceMilliseconds), "hostname": .string(hostname),
      "podDirectory": .string(podDirectory),
    ]
    if let activeDeadlineMilliseconds { result["activeDeadlineMilliseconds"] = .int(activeDeadlineMilliseconds) }
    if let limits { result["limits"] = limits.json }
    if let storage { result["storage"] = storage.json }
    if let rank { result["rank"] = rank.json }
    if !devices.isEmpty { result["devices"] = Self.json(devices) }
    return result
  }

  fileprivate static func json(_ devices: [String: [Int64]]) -> JSON {
    var result: JSON = .object(JSONObject())
    for name in devices.keys.sorted() { result[name] = .integers(devices[name] ?? []) }
    return result
  }

  fileprivate static func devices(_ json: JSON?) -> [String: [Int64]] {
    var result: [String: [Int64]] = [:]
    for (name, ids) in json?.objectValue ?? JSONObject() {
      result[name] = (ids.arrayValue ?? []).compactMap(\.intValue)
    }
    return result
  }

  /// Reads a message's JSON. Throws what is missing or of the wrong type.
  package init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    guard let policy = RestartPolicy(rawValue: try reader.string("restartPolicy")) else {
      throw MessageError("\(what).restartPolicy: expected a restart policy")
    }
    self.init(
      initContainers: try reader.list("initContainers", Container.init(json:_:)),
      containers: try reader.list("containers", Container.init(json:_:)), restartPolicy: policy,
      terminationGraceMilliseconds: try reader.integer("terminationGraceMilliseconds"),
      activeDeadlineMilliseconds: try reader.optionalInteger("activeDeadlineMilliseconds"),
      hostname: try reader.string("hostname"), podDirectory: try reader.string("podDirectory"))
    if reader.optional("limits") != nil { limits = try reader.member("limits", ResourceLimits.init(json:_:)) }
    if reader.optional("rank") != nil { rank = try reader.member("rank", EvictionRank.init(json:_:)) }
    if reader.optional("storage") != nil { storage = try reader.member("storage", StorageLimits.init(json:_:)) }
    devices = Self.devices(json["devices"])
  }
}

extension PodPlan.Container {
  var json: JSON {
    var result: JSON = [
      "name": .string(name), "image": .string(image), "arguments": .strings(arguments),
      "environment": .strings(environment), "workingDirectory": .string(workingDirectory),
      "mounts": .array(mounts.map(\.json)), "isSidecar": .bool(isSidecar),
    ]
    if !terminationMessagePath.isEmpty { result["terminationMessagePath"] = .string(terminationMessagePath) }
    if fallsBackToLogs { result["fallsBackToLogs"] = true }
    if let shownImage { result["shownImage"] = ["name": .string(shownImage.name), "id": .string(shownImage.id)] }
    if let root { result["root"] = root.json }
    if let limits { result["limits"] = limits.json }
    if let oomScore { result["oomScore"] = .int(oomScore) }
    if let target { result["target"] = .string(target) }
    if !care.isEmpty { result["care"] = care.json }
    if input != ContainerInput() { result["input"] = input.json }
    return result
  }

  init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    self.init(
      name: try reader.string("name"), image: try reader.string("image"),
      arguments: try reader.list("arguments", MessageReader.string),
      environment: try reader.list("environment", MessageReader.string),
      workingDirectory: try reader.string("workingDirectory"),
      mounts: try reader.list("mounts", PodPlan.Mount.init(json:_:)), isSidecar: try reader.boolean("isSidecar"),
      terminationMessagePath: try reader.optionalString("terminationMessagePath") ?? "",
      fallsBackToLogs: try reader.flag("fallsBackToLogs"),
      root: reader.optional("root") == nil ? nil : try reader.member("root", ContainerRoot.init(json:_:)))
    if reader.optional("limits") != nil { limits = try reader.member("limits", ResourceLimits.init(json:_:)) }
    oomScore = try reader.optionalInteger("oomScore")
    target = try reader.optionalString("target")
    if let care = json["care"] { self.care = ContainerCare(json: care) }
    if let input = json["input"] { self.input = ContainerInput(json: input) }
    if reader.optional("shownImage") != nil {
      shownImage = try reader.member("shownImage") { (json, what) throws(MessageError) in
        let reader = try MessageReader(json, what)
        return PodPlan.ShownImage(name: try reader.string("name"), id: try reader.string("id"))
      }
    }
  }
}

extension PodPlan.Mount {
  var json: JSON {
    var result: JSON = ["source": .string(source), "path": .string(path), "readOnly": .bool(readOnly)]
    if let subPath { result["subPath"] = .string(subPath) }
    return result
  }

  init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    self.init(
      source: try reader.string("source"), subPath: try reader.optionalString("subPath"),
      path: try reader.string("path"), readOnly: try reader.boolean("readOnly"))
  }
}
