// What a pod may keep on its node's disk, and what it does keep there, as plain numbers; what of it is too much is said
// in kubelet's words. How a disk is read is the keeper's shell's.

/// What a pod of a plan may keep on the node's disk.
package struct StorageLimits: Equatable, Sendable {
  /// An emptyDir on the disk.
  package struct Volume: Equatable, Sendable {
    /// The volume's name.
    package var name: String
    /// Where it lies on the host.
    package var path: String
    /// The most bytes in it; nil: no bound of its own, but it counts for the pod.
    package var bytes: Int64?

    /// Takes each value as it stands.
    package init(name: String, path: String, bytes: Int64?) {
      self.name = name
      self.path = path
      self.bytes = bytes
    }
  }

  /// The pod's emptyDirs on the disk.
  package var volumes: [Volume] = []
  /// The most bytes of each container that has a limit: its log and what it changes of its image.
  package var containers: [String: Int64] = [:]
  /// The most bytes of all containers and volumes; nil: no container has a limit.
  package var together: Int64?

  /// Without any bound.
  package init() {}

  /// Whether nothing is bounded: then it is measured only where the node's disk is short of room.
  package var isEmpty: Bool { together == nil && containers.isEmpty && volumes.allSatisfy { $0.bytes == nil } }

  /// Why a pod that keeps so much is evicted, in kubelet's words and order; nil: it keeps to its limits.
  package func problem(_ usage: StorageUsage) -> String? {
    for volume in volumes {
      guard let bytes = volume.bytes, usage.volumes[volume.name] ?? 0 > bytes else { continue }
      return "Usage of EmptyDir volume \"\(volume.name)\" exceeds the limit \"\(Quantity.formatBytes(bytes))\". "
    }
    if let together {
      if usage.total > together {
        return "Pod ephemeral local storage usage exceeds the total limit of containers "
          + "\(Quantity.formatBytes(together)). "
      }
    }
    for name in containers.keys.sorted() {
      guard let bytes = containers[name], usage.containers[name] ?? 0 > bytes else { continue }
      return "Container \(name) exceeded its local ephemeral storage limit \"\(Quantity.formatBytes(bytes))\". "
    }
    return nil
  }

  /// As `init(json:_:)` reads it.
  package var json: JSON {
    var result: JSON = [
      "volumes": .array(
        volumes.map { volume in
          var json: JSON = ["name": .string(volume.name), "path": .string(volume.path)]
          if let bytes = volume.bytes { json["bytes"] = .int(bytes) }
          return json
        }),
      "containers": .array(
        containers.keys.sorted().map { ["name": .string($0), "bytes": .int(containers[$0] ?? 0)] }),
    ]
    if let together { result["together"] = .int(together) }
    return result
  }

  /// Reads a plan's member. Throws what is missing or of the wrong type.
  package init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    volumes = try reader.list("volumes") { (json, what) throws(MessageError) in
      let reader = try MessageReader(json, what)
      return Volume(
        name: try reader.string("name"), path: try reader.string("path"), bytes: try reader.optionalInteger("bytes"))
    }
    for container in json["containers"]?.arrayValue ?? [] {
      let reader = try MessageReader(container, what)
      containers[try reader.string("name")] = try reader.integer("bytes")
    }
    together = try reader.optionalInteger("together")
  }
}

/// What a pod keeps on the node's disk, in bytes.
package struct StorageUsage: Equatable, Sendable {
  /// By the emptyDirs' names.
  package var volumes: [String: Int64] = [:]
  /// By the containers' names: log and changes of the image.
  package var containers: [String: Int64] = [:]
  /// Files and directories, of all of them.
  package var inodes: Int64 = 0
  /// How long the look has taken.
  package var milliseconds: Int64 = 0

  /// Nothing yet.
  package init() {}

  /// All of it.
  package var total: Int64 {
    (volumes.values.sorted() + containers.values.sorted()).reduce(Int64(0)) { $0.addingSaturated($1) }
  }
}
