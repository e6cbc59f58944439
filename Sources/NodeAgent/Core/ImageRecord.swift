// One image as a node holds it: what it is called, which layers its root is made of, and what its configuration says of
// the containers that are made from it. Owns the JSON of both: the OCI configuration as registries serve it, and the
// record that the node keeps beside the layers. Touches no file and starts nothing.

import ClusterProto

/// What an image says of its containers: the members of an OCI image configuration that Kubernetes merges with the
/// manifest's.
package struct ImageConfiguration: Equatable, Sendable {
  /// Replaced by a container's `command`, which drops `command` too.
  package var entrypoint: [String]
  /// Arguments of the entry point; replaced by a container's `command` or `args`.
  package var command: [String]
  /// `NAME=value` each; a container's own variables go over them by name.
  package var environment: [String]
  /// Where the entry point starts; empty: `/`.
  package var workingDirectory: String
  /// `USER`, `USER:GROUP`, by name or number; empty: root.
  package var user: String
  /// The signal that asks the container to end, as the image writes it; nil: SIGTERM.
  package var stopSignal: String?

  /// Takes each value as it stands.
  package init(
    entrypoint: [String] = [], command: [String] = [], environment: [String] = [], workingDirectory: String = "",
    user: String = "", stopSignal: String? = nil
  ) {
    self.entrypoint = entrypoint
    self.command = command
    self.environment = environment
    self.workingDirectory = workingDirectory
    self.user = user
    self.stopSignal = stopSignal
  }

  /// The `config` member of an OCI image configuration (image-spec, config.md); what is missing is empty.
  package init(oci json: JSON?) {
    func strings(_ name: String) -> [String] { (json?[name]?.arrayValue ?? []).compactMap(\.stringValue) }
    self.init(
      entrypoint: strings("Entrypoint"), command: strings("Cmd"), environment: strings("Env"),
      workingDirectory: json?["WorkingDir"]?.stringValue ?? "", user: json?["User"]?.stringValue ?? "",
      stopSignal: json?["StopSignal"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 })
  }

  /// As `init(oci:)` reads it.
  package var oci: JSON {
    var json: JSON = [
      "Entrypoint": JSON.strings(entrypoint), "Cmd": JSON.strings(command),
      "Env": JSON.strings(environment),
      "WorkingDir": .string(workingDirectory), "User": .string(user),
    ]
    if let stopSignal { json["StopSignal"] = .string(stopSignal) }
    return json
  }
}

/// One image that is whole on a node: every layer is unpacked and synced.
package struct ImageRecord: Equatable, Sendable {
  /// `sha256:` and the digest of the image's configuration: the image itself, however it is called.
  package var id: String
  /// Normalized references with a tag that lead to it (`docker.io/library/busybox:1.36`), sorted.
  package var tags: [String]
  /// Normalized references with a digest that lead to it (`docker.io/library/busybox@sha256:…`), sorted.
  package var digests: [String]
  /// Bytes of its layers on the disk.
  package var bytes: Int64
  /// The layers' identities (`sha256:…` of each one's uncompressed tar), the lowest first.
  package var layers: [String]
  /// What it says of its containers.
  package var configuration: ImageConfiguration
  /// The text of the image's own /etc/passwd and /etc/group, where users and groups by name are looked up; empty where
  /// it has none.
  package var passwd: String
  /// See `passwd`.
  package var group: String

  /// Takes each value as it stands.
  package init(
    id: String, tags: [String] = [], digests: [String] = [], bytes: Int64 = 0, layers: [String],
    configuration: ImageConfiguration, passwd: String = "", group: String = ""
  ) {
    self.id = id
    self.tags = tags
    self.digests = digests
    self.bytes = bytes
    self.layers = layers
    self.configuration = configuration
    self.passwd = passwd
    self.group = group
  }

  /// The record as the node keeps it.
  package var json: JSON {
    [
      "id": .string(id), "tags": JSON.strings(tags), "digests": JSON.strings(digests),
      "bytes": .int(bytes), "layers": JSON.strings(layers),
      "config": configuration.oci, "passwd": .string(passwd), "group": .string(group),
    ]
  }

  /// Throws on a record without an id or layers: it is not taken for an image.
  package init(json: JSON) throws(MessageError) {
    let reader = try MessageReader(json, "image")
    self.init(
      id: try reader.string("id"), tags: try reader.list("tags", MessageReader.string),
      digests: try reader.list("digests", MessageReader.string), bytes: try reader.integer("bytes"),
      layers: try reader.list("layers", MessageReader.string), configuration: ImageConfiguration(oci: json["config"]),
      passwd: try reader.string("passwd"), group: try reader.string("group"))
  }
}
