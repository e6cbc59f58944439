// What a simulated Job asks of the scheduler: a priority, much room or little, other pods near or far. Whatever is
// drawn, some pod of the Job can always be placed once others have ended, so that every Job ends. Knows nothing of the
// cluster's state.

import ClusterProto

struct WishedPlacement {
  /// The classes that the users make, one of which may be for all.
  static let classes: [JSON] = [
    ["metadata": ["name": "sim-low"], "value": -10],
    ["metadata": ["name": "sim-usual"], "value": 10],
    ["metadata": ["name": "sim-high"], "value": 1_000],
    ["metadata": ["name": "sim-polite"], "value": 2_000, "preemptionPolicy": "Never"],
  ]

  private var className: String?
  private(set) var milliCPU: Int64 = 1
  private var tier = "a"
  private var affinity: JSON = .object(JSONObject())
  private var spread: [JSON] = []

  init() {}

  /// `isTight`: most pods need much of a node, so that some have to give their place to others. `mayEnd`: its pods may
  /// be preempted, which ends some of them well.
  init(_ world: World, job: String, isTight: Bool, mayEnd: Bool) {
    milliCPU = world.chance(isTight ? 0.8 : 0.1) ? world.pick(3_000...8_000) : world.pick(1...1_500)
    if !mayEnd {
      className = "system-cluster-critical"
    } else if world.chance(0.6) {
      className = ["sim-low", "sim-usual", "sim-high", "sim-polite"][Int(world.pick(0...3))]
    }
    tier = world.chance(0.5) ? "a" : "b"
    let own: JSON = ["batch.kubernetes.io/job-name": .string(job)]
    if world.chance(0.2) { require("podAntiAffinity", own, "kubernetes.io/hostname") }
    if world.chance(0.1) { require("podAntiAffinity", ["tier": tier == "a" ? "b" : "a"], "kubernetes.io/hostname") }
    // It is one of those that it asks for: where there is none it may be the first.
    if world.chance(0.15) {
      require("podAffinity", ["tier": .string(tier)], world.chance(0.5) ? "zone" : "kubernetes.io/hostname")
    }
    if world.chance(0.2) { wish(world.chance(0.5) ? "podAffinity" : "podAntiAffinity", own, world.pick(1...100)) }
    if world.chance(0.25) {
      spread.append([
        "maxSkew": .int(world.pick(1...2)), "topologyKey": world.chance(0.5) ? "zone" : "kubernetes.io/hostname",
        "whenUnsatisfiable": world.chance(0.7) ? "DoNotSchedule" : "ScheduleAnyway",
        "labelSelector": ["matchLabels": world.chance(0.5) ? own : ["tier": .string(tier)]],
      ])
    }
  }

  private func term(_ labels: JSON, _ key: String) -> JSON {
    ["labelSelector": ["matchLabels": labels], "topologyKey": .string(key)]
  }

  private mutating func require(_ kind: String, _ labels: JSON, _ key: String) {
    let path = [kind, "requiredDuringSchedulingIgnoredDuringExecution"]
    affinity[path: path] = .array((affinity[path: path]?.arrayValue ?? []) + [term(labels, key)])
  }

  private mutating func wish(_ kind: String, _ labels: JSON, _ weight: Int64) {
    let wished: JSON = ["weight": .int(weight), "podAffinityTerm": term(labels, "kubernetes.io/hostname")]
    affinity[path: [kind, "preferredDuringSchedulingIgnoredDuringExecution"]] = [wished]
  }

  func add(to spec: inout JSON) {
    spec[path: ["template", "metadata", "labels", "tier"]] = .string(tier)
    if let className { spec[path: ["template", "spec", "priorityClassName"]] = .string(className) }
    if affinity != .object(JSONObject()) { spec[path: ["template", "spec", "affinity"]] = affinity }
    if !spread.isEmpty { spec[path: ["template", "spec", "topologySpreadConstraints"]] = .array(spread) }
  }
}
