// Owns: the Job and the ConfigMaps that `stint run` makes of what was asked for. Pure: it reads no file and asks
// nobody. It must not know flags, nor what becomes of the objects.

import ClusterProto

/// A file that travels in a ConfigMap.
struct RunFile: Equatable {
  /// As it was named.
  var local: String
  /// Where pods find it: absolute, or below their working directory.
  var path: String
  var bytes: [UInt8]
  var isExecutable = false
}

/// What somebody wants to run.
struct RunRequest {
  var name: String
  var words: [String]
  var items: RunItems?
  var completions: Int64?
  var parallelism: Int64?
  var isIndexed = false
  var image = "host"
  var cpu: String?
  var memory: String?
  var gpus: Int64?
  /// nil: none, or as many as `oomMemory` can use.
  var retries: Int64?
  /// `xFACTOR:BOUND`.
  var oomMemory: String?
  var seconds: Int64?
  /// Labels that a node must have.
  var nodeLabels: [(key: String, value: String)] = []
  var annotations = StringMap()
  var environment: [(name: String, value: String)] = []
  var files: [RunFile] = []
}

/// The objects.
struct RunPlan {
  var job: JSON
  /// Owned by the Job once it is there.
  var configMaps: [JSON]

  /// The one container.
  static let container = "main"
  /// Where a pod works that has files below its working directory.
  static let directory = "/stint/work"
  /// At a time, where nobody said and pods ask for no processors or memory.
  private static let usualParallelism: Int64 = 10
  /// At a time, where nobody said and the scheduler knows what each needs.
  private static let mostParallelism: Int64 = 1_000

  init(_ request: RunRequest) throws(RunItems.Problem) {
    try Self.check(request)
    let count = request.items?.count ?? request.completions ?? 1
    let isIndexed = request.isIndexed || request.items != nil
    // Without items of their own, the indexes are the items.
    let items = request.items ?? (isIndexed ? .numbers(first: 0, step: 1, count: count) : nil)
    configMaps = []
    var volumes: [JSON] = []
    var mounts: [JSON] = []
    if case .lines? = items {
      let name = "\(request.name)-items"
      configMaps.append(Self.configMap(name, (items?.blocks ?? []).map { ($0.key, .string($0.value), "data") }))
      volumes.append(["name": "items", "configMap": ["name": .string(name), "defaultMode": 0o444]])
      mounts.append(["name": "items", "mountPath": .string(RunScript.itemsPath), "readOnly": true])
    }
    var container: JSON = [
      "name": .string(Self.container), "image": .string(request.image),
      "command": .array(RunScript.command(request.words, items: items).map { .string($0) }),
      // What is left to read of a pod that failed, when it is gone.
      "terminationMessagePolicy": "FallbackToLogsOnError",
    ]
    if !request.files.isEmpty {
      Self.add(request.files, of: request.name, &configMaps, &volumes, &mounts)
      if request.files.contains(where: { !$0.path.hasPrefix("/") }) {
        container["workingDir"] = .string(Self.directory)
      }
    }
    if !request.environment.isEmpty {
      container["env"] = .array(
        request.environment.map { ["name": .string($0.name), "value": .string(RunScript.escaped($0.value))] })
    }
    container["resources"] = Self.resources(request)
    if !mounts.isEmpty { container["volumeMounts"] = .array(mounts) }
    var pod: JSON = ["restartPolicy": "Never", "containers": [container]]
    if !volumes.isEmpty { pod["volumes"] = .array(volumes) }
    if !request.nodeLabels.isEmpty {
      var selector = StringMap()
      for label in request.nodeLabels { selector[label.key] = label.value }
      pod["nodeSelector"] = selector.json
    }
    job = Self.job(request, pod, count: count, isIndexed: isIndexed)
  }

  private static func job(_ request: RunRequest, _ pod: JSON, count: Int64, isIndexed: Bool) -> JSON {
    let saysWhatItNeeds = request.cpu != nil || request.memory != nil || request.gpus != nil
    let usual = min(count, saysWhatItNeeds ? mostParallelism : usualParallelism)
    // A machine that is lost costs no retry: the work did not fail.
    var rules: [JSON] = [["action": "Ignore", "onPodConditions": [["type": "DisruptionTarget", "status": "True"]]]]
    var retries = request.retries ?? 0
    if request.retries == nil, let raises = raises(request) {
      // Who asked for no retries gets them for what more memory may help against.
      retries = raises
      rules.append([
        "action": isIndexed ? "FailIndex" : "FailJob",
        "onExitCodes": ["containerName": .string(container), "operator": "NotIn", "values": [137]],
      ])
    }
    var spec: JSON = [
      "completions": .int(count), "parallelism": .int(request.parallelism ?? usual), "template": ["spec": pod],
      "podFailurePolicy": ["rules": .array(rules)],
    ]
    if isIndexed {
      spec["completionMode"] = "Indexed"
      // One item that fails does not end the others.
      spec["backoffLimitPerIndex"] = .int(retries)
    } else {
      spec["backoffLimit"] = .int(retries)
    }
    spec["activeDeadlineSeconds"] = request.seconds.map { .int($0) }
    var metadata: JSON = ["name": .string(request.name)]
    var request = request
    if let rule = request.oomMemory { request.annotations[JobAnnotation.oomMemory] = rule }
    if !request.annotations.isEmpty { metadata["annotations"] = request.annotations.json }
    return [
      "apiVersion": .string(Kind.jobs.apiVersion), "kind": .string(Kind.jobs.name), "metadata": metadata, "spec": spec,
    ]
  }

  /// How often more memory can be asked for; nil: never.
  private static func raises(_ request: RunRequest) -> Int64? {
    guard let rule = request.oomMemory.flatMap({ try? MemoryRaise(text: $0) }),
      let bytes = request.memory.flatMap({ Quantity.parseBytes($0) })
    else { return nil }
    return rule.raises(from: bytes)
  }

  private static func checkMemory(_ request: RunRequest) throws(RunItems.Problem) {
    guard let text = request.oomMemory else { return }
    do throws(MemoryRaise.Problem) {
      _ = try MemoryRaise(text: text)
    } catch {
      throw RunItems.Problem(text: "--oom-memory: \"\(text)\": \(error.text)")
    }
    guard request.memory != nil else {
      throw RunItems.Problem(text: "--oom-memory needs --memory: what the first attempt asks for")
    }
    if raises(request) == 0 {
      throw RunItems.Problem(
        text: "--oom-memory: the bound of \"\(text)\" is not above --memory \(request.memory ?? "")")
    }
  }

  private static func resources(_ request: RunRequest) -> JSON? {
    var requests = StringMap()
    var limits = StringMap()
    requests["cpu"] = request.cpu
    requests["memory"] = request.memory
    // Who has more would take it from others on the machine.
    limits["memory"] = request.memory
    if let gpus = request.gpus { limits["nvidia.com/gpu"] = "\(gpus)" }
    if requests.isEmpty, limits.isEmpty { return nil }
    var result: JSON = .object(JSONObject())
    if !requests.isEmpty { result["requests"] = requests.json }
    if !limits.isEmpty { result["limits"] = limits.json }
    return result
  }

  // ConfigMaps.

  private static func configMap(_ name: String, _ entries: [(key: String, value: JSON, member: String)]) -> JSON {
    var map: JSON = ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)]]
    for entry in entries { map[path: [entry.member, entry.key]] = entry.value }
    return map
  }

  private static func add(
    _ files: [RunFile], of name: String, _ maps: inout [JSON], _ volumes: inout [JSON], _ mounts: inout [JSON]
  ) {
    let map = "\(name)-files"
    var entries: [(key: String, value: JSON, member: String)] = []
    var items: [JSON] = []
    if files.contains(where: { !$0.path.hasPrefix("/") }) {
      volumes.append(["name": "work", "emptyDir": .object(JSONObject())])
      mounts.append(["name": "work", "mountPath": .string(directory)])
    }
    for (position, file) in files.enumerated() {
      let key = "file-\(position)"
      if let text = String(validating: file.bytes, as: UTF8.self) {
        entries.append((key, .string(text), "data"))
      } else {
        entries.append((key, .string(Base64.encode(file.bytes)), "binaryData"))
      }
      items.append(["key": .string(key), "path": .string(key), "mode": .int(file.isExecutable ? 0o555 : 0o444)])
      let path = file.path.hasPrefix("/") ? file.path : "\(directory)/\(file.path)"
      mounts.append(["name": "files", "mountPath": .string(path), "subPath": .string(key), "readOnly": true])
    }
    maps.append(configMap(map, entries))
    volumes.append(["name": "files", "configMap": ["name": .string(map), "items": .array(items)]])
  }

  // What does not fit together.

  private static func check(_ request: RunRequest) throws(RunItems.Problem) {
    if request.items != nil, request.completions != nil {
      throw RunItems.Problem(text: "--completions does not go with --array or --each: each item is one completion")
    }
    if request.isIndexed, request.items == nil, request.completions == nil {
      throw RunItems.Problem(text: "--indexed needs --completions: how many indexes there are")
    }
    let count = request.items?.count ?? request.completions ?? 1
    let isIndexed = request.isIndexed || request.items != nil
    if isIndexed, count > RunItems.limit {
      throw RunItems.Problem(
        text: "--completions: \(count) are more than the \(RunItems.limit) that Indexed Jobs may have")
    }
    let errors = Names.labelErrors(request.name)
    if let error = errors.first { throw RunItems.Problem(text: "--name: \"\(request.name)\" \(error)") }
    let suffix = isIndexed ? "-\(max(0, count - 1))" : ""
    if request.name.utf8.count + suffix.utf8.count > 63 {
      throw RunItems.Problem(
        text:
          "--name: \"\(request.name)\" is too long: with an index behind it, as pods are called (\(suffix)), it has "
          + "more than 63 characters")
    }
    try checkMemory(request)
    try checkEnvironment(request)
    try checkFiles(request.files)
  }

  private static func checkEnvironment(_ request: RunRequest) throws(RunItems.Problem) {
    var seen: Set<String> = []
    for variable in request.environment {
      if let error = Names.environmentNameErrors(variable.name).first {
        throw RunItems.Problem(text: "--env: \"\(variable.name)\" \(error)")
      }
      guard seen.insert(variable.name).inserted else {
        throw RunItems.Problem(text: "--env: \(variable.name) stands twice")
      }
    }
    var keys: Set<String> = []
    for label in request.nodeLabels where !keys.insert(label.key).inserted {
      throw RunItems.Problem(text: "--on-node: \(label.key) stands twice, and no node has both values")
    }
  }

  private static func checkFiles(_ files: [RunFile]) throws(RunItems.Problem) {
    var paths: Set<String> = []
    for file in files {
      let parts = file.path.split(separator: "/")
      if parts.isEmpty || parts.contains("..") || file.path.contains(":") {
        throw RunItems.Problem(text: "--file: \"\(file.path)\" is no path for a file in the pod")
      }
      guard paths.insert(file.path).inserted else {
        throw RunItems.Problem(text: "--file: two files for \(file.path): say another place, as in \(file.local):PATH")
      }
    }
    let size = files.reduce(0) { $0 + $1.bytes.count }
    if size > RunItems.mapLimit {
      throw RunItems.Problem(
        text: "--file: the files have \(size) bytes, and the ConfigMap that brings them to the pods holds "
          + "\(RunItems.mapLimit) (1 MiB): put what is larger where all nodes can read it, or into an image")
    }
  }
}

/// Names of Jobs that nobody named.
enum RunName {
  /// The command's name as far as it may stand in a Job's, and five characters that others do not have.
  static func of(_ command: String, seed: UInt64) -> String {
    let file = command.split(separator: "/").last.map(String.init) ?? ""
    var name = ""
    for byte in file.lowercased().utf8 {
      let isPlain = (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (0x30...0x39).contains(byte)
      if isPlain { name.unicodeScalars.append(Unicode.Scalar(byte)) } else if name.last != "-" { name += "-" }
    }
    name = String(name.drop { $0 == "-" }.prefix(40))
    while name.last == "-" { name.removeLast() }
    return (name.isEmpty ? "run" : name) + "-" + Names.suffix(from: seed)
  }
}
