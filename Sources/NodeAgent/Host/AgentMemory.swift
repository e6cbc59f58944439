// What an agent remembers across its starts, in DATA/agent.json: the highest incarnation seen with its mark (C4), what
// the node was short of, and a machine id for machines that have none. Knows nothing of the core.

import ClusterIO
import ClusterProto

struct AgentMemory {
  private let path: String
  private(set) var highestIncarnation: Int64 = 0
  private(set) var incarnationMark = ""
  /// The cluster whose start that was; empty: of a version that did not write it down.
  private(set) var cluster = ""
  private(set) var machineID = ""
  /// What the node was short of lately, and in which boot of the machine.
  private var pressures: Set<NodePressure> = []
  private var pressuresBoot = ""

  /// Reads the memory, or begins one. One that is damaged is not begun anew by itself: what it knows protects from a
  /// coordinator that was started on an old copy of its store (C4).
  init(path: String) throws(IOError) {
    self.path = path
    if (try? Files.status(path, followLinks: false)) != nil {
      let json = try Self.content(path)
      highestIncarnation = json["highestIncarnation"]?.intValue ?? 0
      incarnationMark = json["incarnationMark"]?.stringValue ?? ""
      cluster = json["cluster"]?.stringValue ?? ""
      machineID = json["machineID"]?.stringValue ?? ""
      pressures = Set((json["pressures"]?.arrayValue ?? []).compactMap { NodePressure(rawValue: $0.stringValue ?? "") })
      pressuresBoot = json["pressuresBoot"]?.stringValue ?? ""
    }
    if machineID.isEmpty {
      machineID = Hexadecimal.text(try Crypto.randomBytes(16))
      try save()
    }
  }

  private static func content(_ path: String) throws(IOError) -> JSON {
    let advice =
      "it says which start of the coordinator was the latest, so that none on an older copy of the store is followed. "
      + "Put it back from a copy; or, if you know that the coordinator that runs is the newest one, delete it and "
      + "start again"
    do throws(IOError) {
      let bytes = try Files.read(path, limit: 64 * 1024)
      if let json = try? JSON(parsing: bytes), json.objectValue != nil { return json }
      throw IOError(operation: "read", subject: path, message: "is damaged")
    } catch {
      throw error.advising(advice)
    }
  }

  mutating func remember(incarnation: Int64, mark: String, cluster: String) {
    guard incarnation > highestIncarnation || incarnation == highestIncarnation && incarnationMark.isEmpty else {
      return
    }
    highestIncarnation = incarnation
    incarnationMark = mark
    self.cluster = cluster
    do throws(IOError) {
      try save()
    } catch {
      HostLog.line("agent: \(error)")
    }
  }

  /// Memory and processes of another boot are nothing to this one, and the disk is looked at in any case.
  func pressures(inBoot boot: String) -> Set<NodePressure> { boot == pressuresBoot ? pressures : [] }

  mutating func remember(pressures: Set<NodePressure>) {
    self.pressures = pressures
    pressuresBoot = (try? Files.readLine("/proc/sys/kernel/random/boot_id")) ?? ""
    do throws(IOError) {
      try save()
    } catch {
      HostLog.line("agent: what the node is short of is not kept for the next agent: \(error)")
    }
  }

  private func save() throws(IOError) {
    var json: JSON = [
      "highestIncarnation": .int(highestIncarnation), "incarnationMark": .string(incarnationMark),
      "machineID": .string(machineID), "cluster": .string(cluster),
    ]
    if !pressures.isEmpty {
      json["pressures"] = .array(pressures.map(\.rawValue).sorted().map { .string($0) })
      json["pressuresBoot"] = .string(pressuresBoot)
    }
    try Files.writeAtomically(path, Array(json.text.utf8))
  }
}
