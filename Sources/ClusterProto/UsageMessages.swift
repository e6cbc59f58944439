// What pods and nodes use of processors and memory, as the keeper reads it and as the agent tells it. Pure data; how it
// is measured is ClusterIO's, what clients see of it the coordinator's.

/// An amount of processor time and of memory.
package struct Usage: Equatable, Sendable {
  /// Of a reading: nanoseconds used since some beginning. Of a report: billionths of a processor, on average.
  package var cpu: Int64
  /// Bytes that could not be had back without harm (the working set).
  package var memory: Int64

  /// Takes both as they stand.
  package init(cpu: Int64, memory: Int64) {
    self.cpu = cpu
    self.memory = memory
  }

  var json: JSON { ["cpu": .int(cpu), "memory": .int(memory)] }

  init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    self.init(cpu: max(0, try reader.integer("cpu")), memory: max(0, try reader.integer("memory")))
  }
}

/// What the running containers of an attempt use.
package struct AttemptUsage: Equatable, Sendable {
  /// Number of the attempt.
  package var attempt: AttemptNumber
  /// By the container's name.
  package var containers: [String: Usage]
  /// Processes of all of them; said on the node only.
  package var processes: Int64

  /// Takes each value as it stands.
  package init(attempt: AttemptNumber, containers: [String: Usage], processes: Int64 = 0) {
    self.attempt = attempt
    self.containers = containers
    self.processes = processes
  }

  var json: JSON {
    var list: JSON = .object(JSONObject())
    for name in containers.keys.sorted() { list[name] = containers[name]?.json }
    return ["attempt": .int(attempt), "containers": list]
  }

  init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    var containers: [String: Usage] = [:]
    for (name, usage) in json["containers"]?.objectValue ?? JSONObject() {
      containers[name] = try Usage(json: usage, what)
    }
    self.init(attempt: try reader.integer("attempt"), containers: containers)
  }
}

/// What a node tells of itself and its pods, in answer to `measure`, again and again for as long as it was asked to.
package struct UsageReport: Equatable, Sendable {
  /// The whole machine's.
  package var node: Usage
  /// Those of which two readings are there.
  package var pods: [AttemptUsage]
  /// The time that processor time is averaged over.
  package var windowMilliseconds: Int64

  /// Takes each value as it stands.
  package init(node: Usage, pods: [AttemptUsage], windowMilliseconds: Int64) {
    self.node = node
    self.pods = pods
    self.windowMilliseconds = windowMilliseconds
  }

  var json: JSON {
    [
      "type": "usage", "node": node.json, "pods": .array(pods.map(\.json)),
      "windowMilliseconds": .int(windowMilliseconds),
    ]
  }

  init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    self.init(
      node: try reader.member("node", Usage.init(json:_:)), pods: try reader.list("pods", AttemptUsage.init(json:_:)),
      windowMilliseconds: max(1, try reader.integer("windowMilliseconds")))
  }
}
