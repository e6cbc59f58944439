// What skopeo has put down of one image: the manifest and the configuration of an OCI layout (image-spec, manifest.md
// and config.md), checked against their digests and against bounds. Knows no registry and unpacks nothing.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc

/// One image as its manifest and configuration describe it.
struct OCIImage: Equatable {
  /// A layer: SHA-256 of its blob and of what that expands to, as digits.
  struct Layer: Equatable {
    var blob: String
    var diffID: String
    /// SHA-256 of this layer and all below it, as config.md's ChainID has it.
    var chainID: String
  }

  /// `sha256:…` of its configuration.
  var id: String
  /// The lowest first.
  var layers: [Layer]
  /// What it says of its containers.
  var configuration: ImageConfiguration
  /// SHA-256 of the files that only describe it, as digits.
  var descriptions: [String]
}

/// Reads an OCI layout with one image.
enum OCILayout {
  /// Of a manifest, and of a configuration.
  static let documentLimit = 4 << 20
  /// Overlay file systems of older kernels stack no more, nor do other engines.
  static let mostLayers = 127
  /// Of all variables of a configuration.
  static let environmentLimit = 1 << 20

  #if arch(x86_64)
    /// This machine, as images name it.
    static let architecture = "amd64"
  #elseif arch(arm64)
    /// This machine, as images name it.
    static let architecture = "arm64"
  #else
    /// This machine, as images name it.
    static let architecture = "unknown"
  #endif

  /// `blob`: the file of a blob by its digits.
  static func read(_ layout: String, blob: (String) -> String) throws(IOError) -> OCIImage {
    let index = try json(try Files.read("\(layout)/index.json", limit: documentLimit), "its index")
    guard let entries = index["manifests"]?.arrayValue, entries.count == 1, let digest = entries[0]["digest"] else {
      throw problem("its index names not one image")
    }
    let manifestHex = try hex(digest, "its index")
    let manifest = try document(manifestHex, "its manifest", blob)
    let configHex = try hex(manifest["config"]?["digest"], "its manifest")
    let config = try document(configHex, "its configuration", blob)
    try checkPlatform(config)
    let configuration = ImageConfiguration(oci: config["config"])
    let texts =
      configuration.environment + configuration.entrypoint + configuration.command
      + [configuration.user, configuration.workingDirectory]
    if texts.contains(where: { $0.utf8.contains(0) }) { throw problem("its configuration has a NUL in a text") }
    let bytes = configuration.environment.reduce(0) { $0 + $1.utf8.count + 1 }
    guard bytes < environmentLimit else {
      throw problem("its environment has \(bytes) bytes, at most \(environmentLimit - 1) are taken")
    }
    return OCIImage(
      id: "sha256:\(configHex)", layers: try layers(manifest, config), configuration: configuration,
      descriptions: [manifestHex, configHex])
  }

  /// What the blobs of a manifest have together by its own words; nil: it is an index, or of a form without sizes.
  static func announcedBytes(_ manifest: [UInt8]) throws(IOError) -> Int64? {
    guard let json = try? JSON(parsing: manifest), let layers = json["layers"]?.arrayValue else { return nil }
    var sum: Int64 = 0
    for blob in layers + [json["config"] ?? .null] {
      guard let size = blob["size"]?.intValue else { return nil }
      guard (0...(1 << 50)).contains(size) else { throw problem("its manifest gives a blob \(size) bytes") }
      sum += size
    }
    return sum
  }

  /// The digest of this machine's manifest in an index; nil: it has none, or is no index.
  static func ownManifest(inIndex index: [UInt8]) -> String? {
    let manifests = (try? JSON(parsing: index))?["manifests"]?.arrayValue ?? []
    let own = manifests.first {
      $0[path: ["platform", "os"]]?.stringValue == "linux"
        && $0[path: ["platform", "architecture"]]?.stringValue == architecture
    }
    return own?["digest"]?.stringValue.flatMap { ImageStore.hex($0).isEmpty ? nil : $0 }
  }

  private static func layers(_ manifest: JSON, _ config: JSON) throws(IOError) -> [OCIImage.Layer] {
    let blobs = manifest["layers"]?.arrayValue ?? []
    let diffIDs = config["rootfs"]?["diff_ids"]?.arrayValue ?? []
    guard !blobs.isEmpty else { throw problem("it has no layers: there is nothing to run in it") }
    guard blobs.count <= mostLayers else {
      throw problem("it has \(blobs.count) layers, at most \(mostLayers) are taken")
    }
    guard blobs.count == diffIDs.count else {
      throw problem("its manifest has \(blobs.count) layers, its configuration \(diffIDs.count)")
    }
    var layers: [OCIImage.Layer] = []
    for (blob, diffID) in zip(blobs, diffIDs) {
      let type = blob["mediaType"]?.stringValue ?? ""
      // Of Docker and of OCI, plain or compressed; encrypted ones and artifacts are not.
      guard type.contains("tar"), !type.contains("encrypted") else {
        throw problem("a layer has the type \(type.prefix(100)), which is no file system")
      }
      let own = try hex(diffID, "its configuration")
      let chain = layers.last.map { SHA256.hex(of: Array("sha256:\($0.chainID) sha256:\(own)".utf8)) } ?? own
      layers.append(
        OCIImage.Layer(blob: try hex(blob["digest"], "its manifest"), diffID: own, chainID: chain))
    }
    return layers
  }

  private static func checkPlatform(_ config: JSON) throws(IOError) {
    let system = config["os"]?.stringValue ?? "linux"
    let machine = config["architecture"]?.stringValue ?? architecture
    guard system.isEmpty || system == "linux", machine.isEmpty || machine == architecture else {
      throw problem("it is for \(system)/\(machine), this machine is linux/\(architecture)")
    }
  }

  private static func document(
    _ hex: String, _ what: String, _ blob: (String) -> String
  ) throws(IOError) -> JSON {
    let bytes = try Files.read(blob(hex), limit: documentLimit)
    guard SHA256.hex(of: bytes) == hex else {
      throw IOError(
        operation: "image", subject: "", message: "\(what) is not what its digest sha256:\(hex) says", code: EBADMSG)
    }
    return try json(bytes, what)
  }

  private static func json(_ bytes: [UInt8], _ what: String) throws(IOError) -> JSON {
    do throws(JSONError) {
      return try JSON(parsing: bytes)
    } catch {
      throw problem("\(what) is no JSON: \(error)")
    }
  }

  private static func hex(_ digest: JSON?, _ what: String) throws(IOError) -> String {
    let hex = ImageStore.hex(digest?.stringValue ?? "")
    guard !hex.isEmpty else { throw problem("\(what) has a digest that is no SHA-256") }
    return hex
  }

  private static func problem(_ message: String) -> IOError {
    IOError(operation: "image", subject: "", message: message)
  }
}
