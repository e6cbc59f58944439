// One entry of a pod spec's volumes, as the node reads it. Reads only; validation happens before, in the coordinator's
// API layer.

/// What the downward API tells of a pod: fieldRef or resourceFieldRef.
package enum DownwardValue: Equatable, Sendable {
  /// fieldRef.fieldPath, for example `metadata.name` or `metadata.labels['a']`.
  case field(path: String)
  /// resourceFieldRef: `limits.cpu` and the like, with its divisor text. `container` nil: the one that asks.
  case resource(container: String?, name: String, divisor: String?)

  /// Reads an object that has `fieldRef` or `resourceFieldRef`.
  package init(json: JSON) {
    if let reference = json["resourceFieldRef"] {
      self = .resource(
        container: reference["containerName"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 },
        name: reference["resource"]?.stringValue ?? "", divisor: reference["divisor"]?.stringValue)
    } else {
      self = .field(path: json[path: ["fieldRef", "fieldPath"]]?.stringValue ?? "")
    }
  }
}

/// One entry of spec.volumes.
package struct VolumeSpec: Equatable, Sendable {
  /// A key of a ConfigMap or Secret and the file that it becomes.
  package struct Item: Equatable, Sendable {
    /// Key in the ConfigMap or Secret.
    package var key: String
    /// Path of the file below the volume's root.
    package var path: String
    /// The file's mode; nil: the volume's.
    package var mode: Int64?

    init(json: JSON) {
      key = json["key"]?.stringValue ?? ""
      path = json["path"]?.stringValue ?? ""
      mode = json["mode"]?.intValue
    }
  }

  /// A file of the downward API.
  package struct DownwardFile: Equatable, Sendable {
    /// Path of the file below the volume's root.
    package var path: String
    /// What the file holds.
    package var value: DownwardValue
    /// The file's mode; nil: the volume's.
    package var mode: Int64?

    init(json: JSON) {
      path = json["path"]?.stringValue ?? ""
      value = DownwardValue(json: json)
      mode = json["mode"]?.intValue
    }
  }

  /// Where files of a volume come from. A ConfigMap, Secret or downwardAPI volume has one of these, a projected one
  /// any number.
  package enum Projection: Equatable, Sendable {
    /// `items` nil: every key.
    case configMap(name: String, items: [Item]?, optional: Bool)
    case secret(name: String, items: [Item]?, optional: Bool)
    case downward([DownwardFile])
    /// A token of the pod's account; an empty audience: the API.
    case token(path: String, audience: String, seconds: Int64)
    /// A source that this version does not run; validation refuses it by name.
    case unsupported(String)
  }

  /// The medium of an emptyDir that is kept in memory.
  package static let memory = "Memory"

  /// What a volume is made of.
  package enum Source: Equatable, Sendable {
    /// Files that the node writes itself.
    case files([Projection], defaultMode: Int64)
    /// `limit`: bytes that it may hold; nil: no bound of its own.
    case emptyDirectory(medium: String, limit: Int64?)
    /// hostPath with its `type` (empty, Directory, DirectoryOrCreate, File, FileOrCreate, Socket, …).
    case hostPath(path: String, type: String)
    /// A PersistentVolumeClaim of the pod's namespace.
    case claim(name: String, isReadOnly: Bool)
    /// A claim that is made for the pod and goes with it: `claimTemplate`'s.
    case ephemeral(JSON)
    /// A volume source that this version does not run; validation refuses it by name.
    case unsupported(String)
  }

  /// The name that mounts refer to.
  package var name: String
  /// What it is made of.
  package var source: Source

  /// Reads an entry of `volumes`.
  package init(json: JSON) {
    name = json["name"]?.stringValue ?? ""
    if let map = json["configMap"] {
      source = .files([Self.configMap(map)], defaultMode: Self.mode(map))
    } else if let secret = json["secret"] {
      source = .files([Self.secret(secret, nameMember: "secretName")], defaultMode: Self.mode(secret))
    } else if let downward = json["downwardAPI"] {
      source = .files([Self.downward(downward)], defaultMode: Self.mode(downward))
    } else if let projected = json["projected"] {
      source = .files((projected["sources"]?.arrayValue ?? []).map(Self.projection), defaultMode: Self.mode(projected))
    } else if let empty = json["emptyDir"] {
      let limit = empty["sizeLimit"]?.stringValue.flatMap(Quantity.parseBytes) ?? empty["sizeLimit"]?.intValue
      source = .emptyDirectory(medium: empty["medium"]?.stringValue ?? "", limit: limit)
    } else if let host = json["hostPath"] {
      source = .hostPath(path: host["path"]?.stringValue ?? "", type: host["type"]?.stringValue ?? "")
    } else if let claim = json["persistentVolumeClaim"] {
      source = .claim(
        name: claim["claimName"]?.stringValue ?? "", isReadOnly: claim["readOnly"]?.boolValue ?? false)
    } else if let ephemeral = json["ephemeral"] {
      source = .ephemeral(ephemeral["volumeClaimTemplate"] ?? .null)
    } else {
      let member = json.objectValue?.keys.first { $0 != "name" }
      source = member.map { .unsupported($0) } ?? .emptyDirectory(medium: "", limit: nil)
    }
  }

  /// The projections of a volume that the node writes itself; empty for any other.
  package var projections: [Projection] {
    if case .files(let projections, _) = source { projections } else { [] }
  }

  /// Whether it is a claim, and so what the coordinator has to look up.
  package var isClaim: Bool {
    switch source {
    case .claim, .ephemeral: true
    case .files, .emptyDirectory, .hostPath, .unsupported: false
    }
  }

  /// The claim of the volume of a pod of that name; nil: it is none.
  package func claimName(ofPod pod: String) -> String? {
    switch source {
    case .claim(let name, _): name
    case .ephemeral: "\(pod)-\(name)"
    case .files, .emptyDirectory, .hostPath, .unsupported: nil
    }
  }

  private static func mode(_ json: JSON) -> Int64 { json["defaultMode"]?.intValue ?? 0o644 }

  private static func items(_ json: JSON) -> [Item]? {
    // Kubernetes takes an empty list for none.
    json["items"]?.arrayValue.flatMap { $0.isEmpty ? nil : $0.map { Item(json: $0) } }
  }

  private static func configMap(_ json: JSON) -> Projection {
    .configMap(
      name: json["name"]?.stringValue ?? "", items: items(json), optional: json["optional"]?.boolValue ?? false)
  }

  private static func secret(_ json: JSON, nameMember: String) -> Projection {
    .secret(
      name: json[nameMember]?.stringValue ?? "", items: items(json), optional: json["optional"]?.boolValue ?? false)
  }

  private static func downward(_ json: JSON) -> Projection {
    .downward((json["items"]?.arrayValue ?? []).map { DownwardFile(json: $0) })
  }

  private static func projection(_ json: JSON) -> Projection {
    if let map = json["configMap"] { return configMap(map) }
    if let secret = json["secret"] { return self.secret(secret, nameMember: "name") }
    if let downward = json["downwardAPI"] { return self.downward(downward) }
    if let token = json["serviceAccountToken"] {
      return .token(
        path: token["path"]?.stringValue ?? "", audience: token["audience"]?.stringValue ?? "",
        seconds: token["expirationSeconds"]?.intValue ?? 3_600)
    }
    // Kubernetes takes a source that names nothing: it has no files.
    return json.objectValue?.keys.first.map { .unsupported($0) } ?? .downward([])
  }
}
