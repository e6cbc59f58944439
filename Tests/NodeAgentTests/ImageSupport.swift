// Owns: tar archives and OCI images made by hand, and trees as text, for the tests of images.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

/// A tar archive that is being written, entry by entry, as bad as a test likes.
struct TarBuilder {
  private(set) var bytes: [UInt8] = []

  /// One entry of ustar. `type`: its type flag. `records`: extended attributes and the like, as pax has them.
  mutating func add(
    _ name: String, type: Character = "0", mode: Int = 0o644, user: Int = 0, group: Int = 0, size: Int? = nil,
    link: String = "", modified: Int = 1_000_000_000, content: [UInt8] = [], records: [(String, [UInt8])] = []
  ) {
    var records = records
    if name.utf8.count > 99 { records.append(("path", Array(name.utf8))) }
    if link.utf8.count > 99 { records.append(("linkpath", Array(link.utf8))) }
    if user > 0o7777777 { records.append(("uid", Array("\(user)".utf8))) }
    if !records.isEmpty { addRecords(records) }
    var header = [UInt8](repeating: 0, count: 512)
    func put(_ text: String, at offset: Int, room: Int) {
      for (position, byte) in text.utf8.prefix(room).enumerated() { header[offset + position] = byte }
    }
    func octal(_ value: Int, at offset: Int, room: Int) {
      let digits = String(value, radix: 8)
      put(String(repeating: "0", count: max(0, room - 1 - digits.count)) + digits, at: offset, room: room - 1)
    }
    put(name, at: 0, room: 100)
    octal(mode, at: 100, room: 8)
    octal(user > 0o7777777 ? 0 : user, at: 108, room: 8)
    octal(group, at: 116, room: 8)
    octal(size ?? content.count, at: 124, room: 12)
    octal(modified, at: 136, room: 12)
    put("        ", at: 148, room: 8)
    put(String(type), at: 156, room: 1)
    put(link, at: 157, room: 100)
    put("ustar\u{0}00", at: 257, room: 8)
    octal(0, at: 329, room: 8)
    octal(0, at: 337, room: 8)
    octal(header.reduce(0) { $0 + Int($1) }, at: 148, room: 7)
    bytes += header + content + [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
  }

  private mutating func addRecords(_ records: [(String, [UInt8])]) {
    var content: [UInt8] = []
    for (key, value) in records {
      let rest = Array(" \(key)=".utf8) + value + [10]
      var length = rest.count
      while "\(length)".utf8.count + rest.count != length { length = "\(length)".utf8.count + rest.count }
      content += Array("\(length)".utf8) + rest
    }
    add("pax", type: "x", content: content)
  }

  mutating func directory(_ name: String, mode: Int = 0o755, user: Int = 0, group: Int = 0) {
    add(name, type: "5", mode: mode, user: user, group: group)
  }

  mutating func file(_ name: String, _ text: String = "", mode: Int = 0o644) {
    add(name, mode: mode, content: Array(text.utf8))
  }

  mutating func symlink(_ name: String, _ target: String) { add(name, type: "2", mode: 0o777, link: target) }
  mutating func hardLink(_ name: String, _ target: String) { add(name, type: "1", link: target) }

  /// With its end.
  var archive: [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }

  static func made(_ body: (inout TarBuilder) throws -> Void) rethrows -> [UInt8] {
    var tar = TarBuilder()
    try body(&tar)
    return tar.archive
  }
}

/// Bytes that do not compress, the same for the same seed.
func noise(_ count: Int, seed: UInt32 = 1) -> [UInt8] {
  var state = seed
  return (0..<count).map { _ in
    state = state &* 1_664_525 &+ 1_013_904_223
    return UInt8(state >> 24)
  }
}

func gzip(_ bytes: [UInt8]) -> [UInt8] { GzipStream()?.write(bytes, isLast: true) ?? [] }

/// An OCI layout of one image that is being made.
struct LayoutBuilder {
  var layers: [[UInt8]] = []
  var configuration: JSON = ["Env": ["PATH=/bin"], "Cmd": ["/bin/sh"]]
  var architecture = OCILayout.architecture
  var mediaType = "application/vnd.oci.image.layer.v1.tar+gzip"
  /// Changes of the finished documents.
  var spoilConfig: (inout JSON) -> Void = { _ in }
  var spoilManifest: (inout JSON) -> Void = { _ in }

  func blobs() -> (files: [String: [UInt8]], manifest: JSON) {
    var files: [String: [UInt8]] = [:]
    func put(_ bytes: [UInt8]) -> JSON {
      let hex = SHA256.hex(of: bytes)
      files[hex] = bytes
      return ["digest": .string("sha256:\(hex)"), "size": .int(Int64(bytes.count))]
    }
    var config: JSON = [
      "architecture": .string(architecture), "os": "linux", "config": configuration,
      "rootfs": ["type": "layers", "diff_ids": JSON.strings(layers.map { "sha256:\(SHA256.hex(of: $0))" })],
    ]
    spoilConfig(&config)
    var described = put(config.bytes)
    described["mediaType"] = "application/vnd.oci.image.config.v1+json"
    let entries: [JSON] = layers.map { layer in
      var entry = put(mediaType.hasSuffix("gzip") ? gzip(layer) : layer)
      entry["mediaType"] = .string(mediaType)
      return entry
    }
    var manifest: JSON = [
      "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": described,
      "layers": .array(entries),
    ]
    spoilManifest(&manifest)
    var found = put(manifest.bytes)
    found["mediaType"] = "application/vnd.oci.image.manifest.v1+json"
    return (files, found)
  }

  /// Writes it to a directory that is not there yet.
  func write(_ path: String, name: String? = "tools:1") throws {
    try Files.makeDirectory("\(path)/blobs/sha256")
    var (files, manifest) = blobs()
    for (hex, bytes) in files { try Files.writeAtomically("\(path)/blobs/sha256/\(hex)", bytes) }
    if let name { manifest["annotations"] = ["org.opencontainers.image.ref.name": .string(name)] }
    let index: JSON = ["schemaVersion": 2, "manifests": [manifest]]
    try Files.writeAtomically("\(path)/index.json", index.bytes)
    try Files.writeAtomically("\(path)/oci-layout", Array("{\"imageLayoutVersion\":\"1.0.0\"}".utf8))
  }
}

/// Everything below a directory, a line each: path, kind, mode, owner, link or content's length.
func tree(_ path: String) throws -> [String] {
  var lines: [String] = []
  func walk(_ directory: String, _ shown: String) throws {
    for name in try Files.list(directory) {
      let full = "\(directory)/\(name)"
      var facts = stat()
      guard lstat(full, &facts) == 0 else { continue }
      let kinds: [mode_t: String] = [
        S_IFREG: "f", S_IFDIR: "d", S_IFLNK: "l", S_IFIFO: "p", S_IFCHR: "c",
      ]
      let kind = kinds[facts.st_mode & S_IFMT] ?? "?"
      lines.append(
        "\(kind) \(String(facts.st_mode & 0o7777, radix: 8)) \(facts.st_uid):\(facts.st_gid) \(shown)\(name)")
      if kind == "d" { try walk(full, "\(shown)\(name)/") }
    }
  }
  try walk(path, "")
  return lines
}

/// Runs a program to its end; its output and whether it succeeded.
func output(_ arguments: [String], environment: [String] = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]) throws -> (
  text: String, isDone: Bool
) {
  let scratch = try Scratch()
  let path = "\(scratch.path)/output"
  let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
  defer { close(file) }
  var options = Child.Options(path: arguments[0], arguments: arguments, environment: environment)
  options.descriptors = [1: file, 2: file]
  let child = try Child(options)
  #expect(eventually(seconds: 60) { child.reap() != nil })
  return (text(path), child.status == .exited(code: 0))
}
