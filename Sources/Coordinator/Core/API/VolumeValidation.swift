// Validation of volumes with Kubernetes' messages: names, one source each, items, modes, paths that stay inside.
// Volume types that this version does not run are Honesty's to refuse.

import ClusterProto

struct VolumeValidation {
  var errors = FieldErrors()
  private(set) var names: Set<String> = []

  mutating func all(_ volumes: [JSON], _ at: String) {
    for (index, volume) in volumes.enumerated() {
      let path = "\(at)[\(index)]"
      source(volume, path)
      let name = volume["name"]?.stringValue ?? ""
      if name.isEmpty {
        errors.required("\(path).name")
        continue
      }
      for problem in Names.labelErrors(name) { errors.invalid("\(path).name", name, problem) }
      if !names.insert(name).inserted { errors.duplicate("\(path).name", name) }
    }
  }

  private mutating func source(_ volume: JSON, _ path: String) {
    let given = (volume.objectValue?.keys ?? []).filter { $0 != "name" }
    if given.isEmpty { errors.required(path, "must specify a volume type") }
    for extra in given.dropFirst() {
      errors.forbidden("\(path).\(extra)", "may not specify more than 1 volume type")
    }
    if let size = volume[path: ["emptyDir", "sizeLimit"]]?.stringValue, Quantity.parseMillis(size) ?? 0 < 0 {
      errors.forbidden("\(path).emptyDir.sizeLimit", "SizeLimit field must be a valid resource quantity")
    }
    if let map = volume["configMap"] {
      if (map["name"]?.stringValue ?? "").isEmpty { errors.required("\(path).configMap.name") }
      Self.mode(map["defaultMode"], "\(path).configMap.defaultMode", into: &errors)
      items(map, "\(path).configMap")
    }
    if let secret = volume["secret"] {
      if (secret["secretName"]?.stringValue ?? "").isEmpty { errors.required("\(path).secret.secretName") }
      Self.mode(secret["defaultMode"], "\(path).secret.defaultMode", into: &errors)
      items(secret, "\(path).secret")
    }
    if let downward = volume["downwardAPI"] {
      Self.mode(downward["defaultMode"], "\(path).downwardAPI.defaultMode", into: &errors)
      files(downward, "\(path).downwardAPI")
    }
    if let projected = volume["projected"] { self.projected(projected, "\(path).projected") }
    if let host = volume["hostPath"] { hostPath(host, "\(path).hostPath") }
    if let claim = volume["persistentVolumeClaim"], (claim["claimName"]?.stringValue ?? "").isEmpty {
      errors.required("\(path).persistentVolumeClaim.claimName")
    }
    if let ephemeral = volume["ephemeral"] { self.ephemeral(ephemeral, "\(path).ephemeral.volumeClaimTemplate") }
  }

  /// validateEphemeralVolumeSource: the claim has to be one that may be made, and its name is the pod's to give.
  private mutating func ephemeral(_ source: JSON, _ path: String) {
    guard let template = source["volumeClaimTemplate"] else { return errors.required(path) }
    for member in template["metadata"]?.objectValue?.keys ?? [] where !["annotations", "labels"].contains(member) {
      errors.forbidden("\(path).metadata.\(member)", "cannot be set for an ephemeral volume")
    }
    MetaValidation.labels(template[path: ["metadata", "labels"]], "\(path).metadata.labels", into: &errors)
    MetaValidation.annotations(
      template[path: ["metadata", "annotations"]], "\(path).metadata.annotations", into: &errors)
    guard let spec = template["spec"] else { return errors.required("\(path).spec") }
    VolumeRules.claim(spec, "\(path).spec", into: &errors)
  }

  private mutating func files(_ source: JSON, _ path: String) {
    var downward = DownwardValidation(.volume)
    for file in source["items"]?.arrayValue ?? [] { downward.file(file, path) }
    errors.append(downward.errors)
  }

  /// validateProjectedVolumeSource: no path may come from two places, as far as the manifest shows it.
  private mutating func projected(_ projected: JSON, _ path: String) {
    Self.mode(projected["defaultMode"], "\(path).defaultMode", into: &errors)
    var paths: Set<String> = []
    for (index, source) in (projected["sources"]?.arrayValue ?? []).enumerated() {
      let at = "\(path).sources[\(index)]"
      for kind in ["secret", "configMap"] {
        guard let object = source[kind] else { continue }
        let name = object["name"]?.stringValue ?? ""
        if name.isEmpty { errors.required("\(at).\(kind).name") }
        items(object, "\(at).\(kind)")
        for target in Self.paths(object) where !paths.insert(target).inserted {
          errors.invalid(path, name, "conflicting duplicate paths")
        }
      }
      if let downward = source["downwardAPI"] {
        files(downward, "\(at).downwardAPI")
        for target in Self.paths(downward) where !paths.insert(target).inserted {
          errors.invalid(path, target, "conflicting duplicate paths")
        }
      }
      if let token = source["serviceAccountToken"] {
        self.token(token, path, at)
        if let target = token["path"]?.stringValue, !target.isEmpty, !paths.insert(target).inserted {
          errors.invalid(path, target, "conflicting duplicate paths")
        }
      }
      if source.objectValue?.count ?? 0 > 1 {
        errors.forbidden(at, "may not specify more than 1 volume type per source")
      }
    }
  }

  private mutating func token(_ token: JSON, _ path: String, _ at: String) {
    let target = token["path"]?.stringValue ?? ""
    if target.isEmpty { errors.required("\(path).path") }
    Self.local(target, "\(path).path", into: &errors)
    guard let seconds = token["expirationSeconds"]?.intValue else { return }
    let field = "\(at).serviceAccountToken.expirationSeconds"
    if seconds < 600 { errors.invalid(field, .int(seconds), "may not specify a duration less than 10 minutes") }
    if seconds > 1 << 32 {
      errors.invalid(field, .int(seconds), "may not specify a duration larger than 2^32 seconds")
    }
  }

  private static func paths(_ source: JSON) -> [String] {
    (source["items"]?.arrayValue ?? []).compactMap { $0["path"]?.stringValue }.filter { !$0.isEmpty }
  }

  private mutating func items(_ source: JSON, _ path: String) {
    for (index, item) in (source["items"]?.arrayValue ?? []).enumerated() {
      let at = "\(path).items[\(index)]"
      if (item["key"]?.stringValue ?? "").isEmpty { errors.required("\(at).key") }
      let target = item["path"]?.stringValue ?? ""
      if target.isEmpty { errors.required("\(at).path") }
      Self.local(target, "\(at).path", into: &errors)
      Self.mode(item["mode"], "\(at).mode", into: &errors)
    }
  }

  /// A file mode, as Kubernetes' validation bounds it.
  static func mode(_ json: JSON?, _ path: String, into errors: inout FieldErrors) {
    guard let mode = json?.intValue, mode < 0 || mode > 0o777 else { return }
    errors.invalid(path, .int(mode), "must be a number between 0 and 0777 (octal), both inclusive")
  }

  /// ValidateLocalNonReservedPath: a file's path within its volume.
  static func local(_ text: String, _ path: String, into errors: inout FieldErrors) {
    relative(text, path, into: &errors)
    if text.utf8.starts(with: "..".utf8), !PathText.climbs(text) {
      errors.invalid(path, text, "must not start with '..'")
    }
    if PathText.names(text).last == "." { errors.invalid(path, text, "must name a file, not a directory") }
    fits(text, path, into: &errors)
  }

  private static let hostTypes = [
    "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
  ]

  mutating func hostPath(_ host: JSON, _ path: String) {
    let target = host["path"]?.stringValue ?? ""
    if target.isEmpty {
      errors.required("\(path).path")
    } else if PathText.climbs(target) {
      errors.invalid("\(path).path", target, "must not contain '..'")
    }
    Self.whole(target, "\(path).path", into: &errors)
    Self.fits(target, "\(path).path", into: &errors)
    let type = host["type"]?.stringValue ?? ""
    if !Self.hostTypes.contains(type) { errors.unsupported("\(path).type", type, Self.hostTypes) }
  }

  /// A path that may not leave the directory it is taken from.
  static func relative(_ text: String, _ path: String, into errors: inout FieldErrors) {
    if PathText.isAbsolute(text) { errors.invalid(path, text, "must be a relative path") }
    if PathText.climbs(text) { errors.invalid(path, text, "must not contain '..'") }
    whole(text, path, into: &errors)
  }

  /// What the kernel takes ends at the first zero byte. Kubernetes lets it pass, and no container starts with it.
  static func whole(_ text: String, _ path: String, into errors: inout FieldErrors) {
    if text.utf8.contains(0) { errors.invalid(path, text, "must not contain a zero byte") }
  }

  /// A path that Linux takes: else it fails on each node, where Kubernetes lets it fail.
  static func fits(_ text: String, _ path: String, into errors: inout FieldErrors) {
    if text.utf8.count > 4095 { errors.invalid(path, text, "must be no more than 4095 bytes") }
    if PathText.names(text).contains(where: { $0.utf8.count > 255 }) {
      errors.invalid(path, text, "must have no name of more than 255 bytes between slashes")
    }
  }
}
