// Owns: finding and reading manifests: files, directories, standard input, documents, Lists, and where each stood.
// It must not know what the objects mean beyond kind, name and namespace.

import ClusterIO
import ClusterProto
import Coordinator
import Glibc

/// One object of a manifest.
struct ManifestObject: Equatable {
  let kind: Kind
  /// With its namespace filled in.
  var json: JSON
  /// The file as the command line named it, for messages.
  let file: String
  /// `"job.yaml"`, with the document's number where a file has several.
  let place: String

  var name: String { json[path: ["metadata", "name"]]?.stringValue ?? "" }
  var namespace: String { kind.isNamespaced ? json[path: ["metadata", "namespace"]]?.stringValue ?? "" : "" }
}

/// Reads manifests. What cannot be read is reported, the rest goes on.
struct Manifests {
  private(set) var objects: [ManifestObject] = []
  /// Messages, each ready for standard error.
  private(set) var errors: [String] = []
  /// What is read otherwise than it looks, ready for standard error.
  private(set) var warnings: [String] = []

  private let namespace: String
  /// The namespace was asked for on the command line: manifests must not name another.
  private let insists: Bool
  /// Bytes of one file; objects have their own limit at the coordinator.
  private static let fileLimit = 64 << 20

  init(paths: [String], namespace: String = "default", insists: Bool = false) {
    self.namespace = namespace
    self.insists = insists
    for path in paths { read(path) }
  }

  private mutating func read(_ path: String) {
    if path == "-" {
      var bytes: [UInt8] = []
      do {
        bytes = try Files.read("/dev/stdin", limit: Manifests.fileLimit, from: .anything)
      } catch {
        errors.append("error: cannot read standard input: \(error.message)")
      }
      return take(bytes, "STDIN", "-")
    }
    if path.hasPrefix("https://") || path.hasPrefix("http://") {
      return errors.append(
        "error: \(path): URLs are not read: fetch it and give it on standard input (curl -fsSL \(path) | stint … -f -)")
    }
    do {
      guard try Files.status(path).isDirectory else { return readFile(path, .anything) }
      let names = try Files.list(path).filter { name in
        [".yaml", ".yml", ".json"].contains { name.hasSuffix($0) }
      }
      if names.isEmpty { errors.append("error: the directory \"\(path)\" has no .yaml, .yml or .json file") }
      let prefix = path.hasSuffix("/") ? path : path + "/"
      for name in names { readFile(prefix + name, .file) }
    } catch {
      errors.append(
        error.code == ENOENT ? "error: the path \"\(path)\" does not exist" : "error: \(path): \(error.message)")
    }
  }

  private mutating func readFile(_ path: String, _ source: Files.Source) {
    do {
      take(try Files.read(path, limit: Manifests.fileLimit, from: source), path, path)
    } catch {
      errors.append("error: \(path): \(error.message)")
    }
  }

  /// Takes the documents of one file.
  mutating func take(_ bytes: [UInt8], _ name: String, _ file: String) {
    let documents: [JSON]
    do {
      // As kubectl does: the last of two wins. Unlike kubectl, it is said.
      var doubles: [String] = []
      documents = try YAML.parts(bytes) { doubles.append($0) }
      warnings += doubles.map { "Warning: \(name): \($0); the last one counts" }
    } catch {
      errors.append("error: error parsing \(name): \(error)")
      return
    }
    for (index, document) in documents.enumerated() where !document.isNull {
      let place = documents.count > 1 ? "\"\(name)\" (document \(index + 1))" : "\"\(name)\""
      if document["kind"]?.stringValue?.hasSuffix("List") == true, let items = document["items"]?.arrayValue {
        for item in items { take(item, file: name, place: place) }
      } else {
        take(document, file: name, place: place)
      }
    }
  }

  private mutating func take(_ document: JSON, file: String, place: String) {
    guard document.objectValue != nil else {
      let article = document.typeName == "array" ? "an" : "a"
      errors.append("error: \(place) holds \(article) \(document.typeName) where an object should be")
      return
    }
    var missing: [String] = []
    for member in ["apiVersion", "kind"] where document[member]?.stringValue?.isEmpty ?? true {
      missing.append("\(member) not set")
    }
    guard missing.isEmpty, let version = document["apiVersion"]?.stringValue,
      let kindName = document["kind"]?.stringValue
    else {
      let list = missing.count == 1 ? missing[0] : "[\(missing.joined(separator: ", "))]"
      errors.append("error: error validating \(place): error validating data: \(list)")
      return
    }
    let name = document[path: ["metadata", "name"]]?.stringValue ?? ""
    let given = document[path: ["metadata", "namespace"]]?.stringValue ?? ""
    guard let kind = Kind(apiVersion: version, kind: kindName) else {
      errors.append(
        "error: resource mapping not found for name: \"\(name)\" namespace: \"\(given)\" from \(place): "
          + "no matches for kind \"\(kindName)\" in version \"\(version)\"")
      return
    }
    var json = document
    if kind.isNamespaced {
      if insists, !given.isEmpty, given != namespace {
        errors.append(
          "error: the namespace from the provided object \"\(given)\" does not match the namespace \"\(namespace)\". "
            + "You must pass '--namespace=\(given)' to perform this operation.")
        return
      }
      if given.isEmpty { json[path: ["metadata", "namespace"]] = .string(namespace) }
    }
    objects.append(ManifestObject(kind: kind, json: json, file: file, place: place))
  }
}
