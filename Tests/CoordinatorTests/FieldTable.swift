// docs/kubernetes-fields.md, made from the schema that decodes manifests. What the schema cannot say (rules that depend
// on a value, fields that have nothing to act on) stands here, and FieldTableTests tries each of them.

import ClusterProto

@testable import CoordinatorCore

enum FieldTable {
  /// What becomes of a field.
  enum Word: String {
    case yes, kept, no, moot, written, unset
  }

  /// A rule that depends on the value: what happens to `probe` at `path`.
  struct Rule {
    enum Effect { case warned, refused }
    var field: String
    var text: String
    var effect: Effect
    /// From the pod's spec, or of a Job where it begins with `job.`.
    var path: String
    var probe: JSON
  }

  static let rules: [Rule] = [
    Rule(
      field: "Job.metadata", text: "a name that is no DNS label: Warning", effect: .warned, path: "job.metadata.name",
      probe: "a.b"),
    Rule(
      field: "PodSpec.hostUsers",
      text: "`false`: on nodes with `--images=on`: without one, Warning, and the pod waits", effect: .warned,
      path: "hostUsers", probe: false),
    Rule(field: "PodSpec.hostPID", text: "`true`: refused", effect: .refused, path: "hostPID", probe: true),
    Rule(
      field: "PodSpec.subdomain", text: "in `/etc/hosts` of containers of images; Warning: there is no DNS of others",
      effect: .warned, path: "subdomain", probe: "x"),
    Rule(field: "PodOS.name", text: "other than `linux`: refused", effect: .refused, path: "os.name", probe: "windows"),
    Rule(
      field: "PodSpec.schedulerName", text: "other than `default-scheduler`: refused", effect: .refused,
      path: "schedulerName", probe: "mine"),
    Rule(
      field: "PodSpec.dnsPolicy",
      text: "the node's resolver; `None`: that of dnsConfig in containers of images, else Warning", effect: .warned,
      path: "dnsPolicy",
      probe: "None"),
    Rule(
      field: "PodSpec.tolerations",
      text:
        "`node.kubernetes.io/unreachable` without tolerationSeconds: Warning: a lost pod stays lost",
      effect: .warned, path: "tolerations", probe: [["operator": "Exists"]]),
    Rule(
      field: "EmptyDirVolumeSource.medium", text: "`Memory`, or nothing; others, as `HugePages`: refused",
      effect: .refused, path: "volumes[0].emptyDir.medium", probe: "HugePages"),
    Rule(
      field: "PodSpec.dnsConfig", text: "in containers of images; on nodes with `--images=off` Warning",
      effect: .warned, path: "dnsConfig", probe: ["nameservers": ["10.0.0.1"]]),
    Rule(
      field: "PodSpec.hostAliases", text: "in containers of images; on nodes with `--images=off` Warning",
      effect: .warned, path: "hostAliases", probe: [["ip": "10.0.0.1", "hostnames": ["a"]]]),
    Rule(
      field: "Container.terminationMessagePath", text: "where nothing can be mounted, as `/`: refused",
      effect: .refused, path: "containers[0].terminationMessagePath", probe: "/"),
    Rule(
      field: "PodSpec.terminationGracePeriodSeconds", text: "negative: 1, Warning", effect: .warned,
      path: "terminationGracePeriodSeconds", probe: -1),
    Rule(
      field: "HostPathVolumeSource.path", text: "not absolute: Warning, and the pod waits", effect: .warned,
      path: "volumes[0].hostPath.path", probe: "x"),
    Rule(
      field: "Container.command", text: "not set: Warning, and the pod waits with CreateContainerConfigError",
      effect: .warned, path: "containers[0].command", probe: []),
    Rule(
      field: "SecurityContext.appArmorProfile", text: "`type` other than `Unconfined`: refused", effect: .refused,
      path: "containers[0].securityContext.appArmorProfile", probe: ["type": "RuntimeDefault"]),
    Rule(
      field: "PodSecurityContext.appArmorProfile", text: "`type` other than `Unconfined`: refused", effect: .refused,
      path: "securityContext.appArmorProfile", probe: ["type": "RuntimeDefault"]),
    Rule(
      field: "PodSpec.securityContext", text: "on nodes with `--images=on`: without one, Warning, and the pod waits",
      effect: .warned, path: "securityContext", probe: ["runAsUser": 1000]),
    Rule(
      field: "ResourceRequirements.requests", text: "other names but for amounts of 0: refused", effect: .refused,
      path: "containers[0].resources.requests", probe: ["hugepages-2Mi": "1"]),
    Rule(
      field: "VolumeMount.recursiveReadOnly", text: "other than `Disabled`: refused", effect: .refused,
      path: "containers[0].volumeMounts[0].recursiveReadOnly", probe: "Enabled"),
  ]

  /// Fields that are taken and have nothing to act on, and why.
  static let moot: [String: String] = [
    "PodSpec.dnsPolicy": "", "PodSpec.enableServiceLinks": "there are no services to link",
    "PodSpec.hostNetwork": "every pod uses the node's network",
    "PodSpec.serviceAccount": "the old name of serviceAccountName",
    "ObjectMeta.selfLink": "never set, as in Kubernetes",
  ]

  /// What is to be said of fields that do what they should.
  static let notes = [
    "ResourceRequirements.requests": "`cpu`, `memory`, `ephemeral-storage` and extended resources",
    "ResourceRequirements.limits":
      "`cpu`, `memory` by cgroup (Warning where a node has none), `ephemeral-storage` by eviction, extended resources",
    "PodSpec.hostname": "in `HOSTNAME`; the host's programs see the node's own name otherwise",
    "Container.securityContext":
      "on nodes with `--images=on`; what holds something back or says who runs is refused for `image: host`",
    "PodSpec.hostIPC": "the host's programs always use the host's",
    "SecurityContext.procMount": "`Unmasked` needs `hostUsers: false`, as in Kubernetes",
    "PodSpec.shareProcessNamespace": "in containers of images; the host's programs always share one PID namespace",
    "Container.ports":
      "`hostPort`, or with `hostNetwork` any, is one pod's alone on its node; else containers use the node's network "
      + "as it is",
    "LifecycleHandler.tcpSocket": "taken, and fails, as in Kubernetes",
    "PodSpec.ephemeralContainers": "written by `pods/ephemeralcontainers` alone; refused at a create and in templates",
    "PodSpec.imagePullSecrets": "on nodes with `--images=on`",
    "Container.image": "on nodes with `--images=on`; `host`, and elsewhere: programs of the node",
    "Container.imagePullPolicy": "on nodes with `--images=on`",
  ]

  struct Row {
    var name: String
    var type: SchemaType
    var word: Word
    var note: String
  }

  /// One table: a type, where it stands, its fields.
  struct Section {
    var type: String
    var places: [String]
    var rows: [Row]
  }

  static func named(_ type: SchemaType) -> String? {
    switch type {
    case .named(let name): name
    case .list(let element), .map(let element): named(element)
    default: nil
    }
  }

  private static func suffix(_ type: SchemaType) -> String {
    switch type {
    case .list(let element): "[]" + suffix(element)
    case .map(let element): ".*" + suffix(element)
    default: ""
    }
  }

  /// The types below `root` as far as their fields do something, in the order of reading.
  static func sections(_ root: String, at place: String) -> [Section] {
    var result: [Section] = []
    var queue: [(type: String, place: String)] = [(root, place)]
    var next = 0
    while next < queue.count {
      let (type, place) = queue[next]
      next += 1
      if let known = result.firstIndex(where: { $0.type == type }) {
        result[known].places.append(place)
        // A status may write a field at one place and not at another.
        for (index, row) in result[known].rows.enumerated() where row.word == .unset {
          if let field = Schema.structs[type]?[row.name], isWritten(place, field) {
            result[known].rows[index].word = .written
            if let inner = named(row.type) { queue.append((inner, "\(place).\(row.name)\(suffix(row.type))")) }
          }
        }
        continue
      }
      guard let schema = Schema.structs[type] else { continue }
      let rows = schema.fieldNames.compactMap { schema[$0] }.map { row($0, of: type, at: place) }
      result.append(Section(type: type, places: [place], rows: rows))
      for row in rows where row.word == .yes || row.word == .written {
        if let inner = named(row.type) { queue.append((inner, "\(place).\(row.name)\(suffix(row.type))")) }
      }
    }
    return result
  }

  private static func row(_ field: SchemaField, of type: String, at place: String) -> Row {
    let key = "\(type).\(field.name)"
    var notes = [self.notes[key]].compactMap { $0 } + rules.filter { $0.field == key }.map(\.text)
    var word: Word
    switch field.honour {
    case .honoured: word = .yes
    case .ignored: word = .kept
    case .refused: word = .no
    }
    if let why = moot[key] {
      word = .moot
      if !why.isEmpty { notes.insert(why, at: 0) }
    }
    if place.hasPrefix("Job.status") || place.hasPrefix("Pod.status") {
      word = isWritten(place, field) ? .written : .unset
    }
    // Kept as it is written.
    if place.hasPrefix("CronJob.status") { word = .written }
    return Row(name: field.name, type: field.type, word: word, note: notes.joined(separator: "; "))
  }

  // Samples.

  /// A value of the type that says something; `isFull`: with all members.
  static func sample(_ type: SchemaType, isFull: Bool = false) -> JSON {
    switch type {
    case .string: "x"
    case .int32, .int64, .intOrString: 1
    case .bool: true
    case .quantity: "1"
    case .time: "2026-01-01T00:00:00Z"
    case .bytes: "eA=="
    case .any: ["x": "y"]
    case .list(let element): .array([sample(element, isFull: isFull)])
    case .map(let element): ["x": sample(element, isFull: isFull)]
    case .named(let name):
      .object(
        JSONObject(
          entries: Schema.structs[name].map { schema in
            schema.fieldNames.prefix(isFull ? 100 : 1).compactMap { schema[$0] }.map {
              ($0.name, sample($0.type, isFull: isFull))
            }
          } ?? []))
    }
  }

  /// Puts a value where a place of a section (`PodSpec.containers[].env[]`) and a field of it point to.
  static func wrap(_ value: JSON, _ steps: ArraySlice<Substring>) -> JSON {
    guard let step = steps.first else { return value }
    let inner = wrap(value, steps.dropFirst())
    let name = String(step.prefix { $0 != "[" })
    return [name: step.hasSuffix("[]") ? .array([inner]) : inner]
  }

  static func find(_ json: JSON, _ steps: ArraySlice<Substring>) -> JSON? {
    guard let step = steps.first else { return json }
    let inner = json[String(step.prefix { $0 != "[" })]
    return (step.hasSuffix("[]") ? inner?[0] : inner).flatMap { find($0, steps.dropFirst()) }
  }

  /// Whether the typed status keeps the field, so that somebody can write it.
  private static func isWritten(_ place: String, _ field: SchemaField) -> Bool {
    let path = "\(place).\(field.name)".split(separator: ".").dropFirst(2)
    let isJob = place.hasPrefix("Job")
    // By itself, and among all others: some follow from others.
    let isList = ["completedIndexes", "failedIndexes"].contains(field.name)
    let alone = wrap(isList ? "0" : sample(field.type, isFull: true), path)
    let all = sample(.named(isJob ? "JobStatus" : "PodStatus"), isFull: true)
    return [alone, all].contains { json in
      find(isJob ? JobStatus(json: json).json : PodStatus(json: json).json, path) != nil
    }
  }

  // Text.

  private static func typeText(_ type: SchemaType) -> String {
    switch type {
    case .named(let name): name
    case .any: "object"
    case .list(let element): "[]\(typeText(element))"
    case .map(let element): "map of \(typeText(element))"
    case .quantity: "quantity"
    case .time: "time"
    case .intOrString: "int or string"
    case .bytes: "bytes"
    default: type.goName
    }
  }

  private static func table(_ section: Section) -> String {
    let places = section.places.map { "`\($0)`" }.joined(separator: ", ")
    var lines = ["### \(section.type)", "", places, "", "| field | type | here | |", "|---|---|---|---|"]
    for row in section.rows {
      lines.append("| `\(row.name)` | \(typeText(row.type)) | \(row.word.rawValue) | \(row.note) |")
    }
    return lines.joined(separator: "\n")
  }

  static let jobSections = sections("Job", at: "Job")
  static let podSections = sections("Pod", at: "Pod")
  static let cronJobSections = sections("CronJob", at: "CronJob")
  static let queueSections = sections("Queue", at: "Queue").filter { $0.type.hasPrefix("Queue") }

  /// The whole document. `served`: the table of resources and verbs.
  static func document(served: String) -> String {
    let shared = Set(podSections.map(\.type))
    let job = jobSections.filter { !shared.contains($0.type) }
    let cron = cronJobSections.filter { section in
      !shared.contains(section.type) && !job.contains { $0.type == section.type }
    }
    return """
      # What is served, field by field

      Made from the tables that decode manifests. A test compares this page with them; after a change of the schema
      write it again with `STINT_WRITE_DOCS=1 swift test --filter FieldTableTests`.

      ## Resources and verbs

      \(served)

      ## Words

      | word | meaning |
      |---|---|
      | yes | does what Kubernetes says; exceptions in the last column |
      | kept | kept and shown, without effect; a Warning names it |
      | no | refused with 422: running without it would be wrong, or give more rights. `null`, `false`, \
      `""` and empty lists and objects say nothing and pass |
      | moot | kept and shown; there is nothing for it to act on here |
      | written | of a status: the cluster writes it |
      | unset | of a status: not kept; a Warning names it |

      ## Job

      \(job.map(table).joined(separator: "\n\n"))

      ## CronJob

      What stands in `spec.jobTemplate` is a Job's.

      \(cron.map(table).joined(separator: "\n\n"))

      ## Pod

      The types below `spec` are also those of `Job.spec.template.spec`.

      \(podSections.map(table).joined(separator: "\n\n"))

      ## Queue

      Kubernetes has no such kind; [what it does](kubernetes.md#queues).

      \(queueSections.map(table).joined(separator: "\n\n"))

      """
  }
}
