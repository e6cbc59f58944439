// Many pods of images while agents, keepers and what pulls are killed at random: at the end nothing of them is left on
// the machine. STINT_STORM_PODS says how many pods; the page on proof has 1,000.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

@Suite(
  "Pods of images under random blows",
  .enabled(if: geteuid() == 0, "without root a container's users cannot be the image's"))
struct ImageStormTests {
  private static let nodes = ["node-1", "node-2"]
  private static let tags = 4
  private static let pods = getenv("STINT_STORM_PODS").flatMap { Int64(String(cString: $0)) } ?? 120

  private struct Storm {
    let cluster: TestCluster
    var random: SplitMix64
    /// How often each kind of process was killed.
    var killed: [String: Int] = [:]

    mutating func next(_ limit: UInt64) -> UInt64 { random.next() % limit }

    mutating func strike() throws {
      let node = nodes[Int(next(UInt64(nodes.count)))]
      switch next(4) {
      case 0: try killAgent(node)
      case 1: killKeeper(node)
      case 2:
        killKeeper(node)
        try killAgent(node)
      default: try killPull(of: node)
      }
    }

    /// A fetch takes a twentieth of a second: it is looked for until there is one.
    private mutating func killPull(of node: String) throws {
      guard let agent = cluster.agents[node]?.pid else { return }
      let end = uptime() + 2
      while uptime() < end {
        let threads = (try? Files.list("/proc/\(agent)/task")) ?? []
        let children = threads.flatMap { thread in
          ((try? Files.readLine("/proc/\(agent)/task/\(thread)/children")) ?? "").split(separator: " ")
        }
        for pid in children.compactMap({ Int32($0) }) where isSkopeo(pid) && kill(pid, SIGKILL) == 0 {
          killed["pull", default: 0] += 1
          return
        }
        poll(nil, 0, 5)
      }
    }

    private mutating func killAgent(_ node: String) throws {
      try cluster.killAgent(node)
      try cluster.startAgent(node, ["--images", "on"])
      killed["agent", default: 0] += 1
    }

    private mutating func killKeeper(_ node: String) {
      guard let keeper = try? cluster.keeper(of: node), kill(keeper.pid, SIGKILL) == 0 else { return }
      killed["keeper", default: 0] += 1
    }

    private func isSkopeo(_ pid: Int32) -> Bool { (try? Files.readLine("/proc/\(pid)/comm")) == "skopeo" }
  }

  /// What one node has on this machine beside its agent and keeper.
  private struct Remains: Equatable, CustomStringConvertible {
    var processes: [String] = []
    var mounts: [String] = []
    var groups: [String] = []
    var roots: [String] = []
    var pods: [String] = []
    var logs: [String] = []
    var unpacking: [String] = []

    var description: String {
      "\(processes.count) processes \(processes.prefix(3)), \(mounts.count) mounts \(mounts.prefix(3)), "
        + "\(groups.count) control groups \(groups.prefix(3)), \(roots.count) roots, \(pods.count) volumes, "
        + "\(logs.count) logs, unpacking \(unpacking)"
    }
  }

  /// `known`: agents and keepers that have to be there.
  private static func remains(_ cluster: TestCluster, known: Set<Int32>) -> Remains {
    var remains = Remains()
    let agents = "\(cluster.directory)/agents"
    remains.processes = Processes.mentioning(agents).filter { !known.contains($0.pid) }.map { process in
      "\(process.pid) \((try? Files.readLine("/proc/\(process.pid)/comm")) ?? "")"
    }
    let mounts = String(decoding: (try? Files.read("/proc/self/mountinfo")) ?? [], as: UTF8.self)
    remains.mounts = mounts.split(separator: "\n").filter { $0.contains(agents) }.map(String.init)
    for place in LimitPool.places() + ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
      for pool in cluster.controlGroups(in: place) { remains.groups += groups(in: pool, known: known) }
    }
    for node in nodes {
      let paths = NodePaths(data: cluster.dataDirectory(node))
      remains.roots += (try? Files.list(paths.roots)) ?? []
      remains.pods += (try? Files.list(paths.pods)) ?? []
      remains.logs += (try? Files.list(paths.logs)) ?? []
      remains.unpacking += ((try? Files.list(paths.images)) ?? []).filter { $0.hasPrefix(".") || $0.contains("pull") }
    }
    return remains
  }

  /// What a keeper's control group has to have no more: all of it if the keeper is dead; else groups of pods, but for
  /// empty ones that it keeps for the next pods.
  private static func groups(in pool: String, known: Set<Int32>) -> [String] {
    let parts = Files.split(pool).name.split(separator: ".")
    if let keeper = parts.count > 1 ? Int32(parts[1]) : nil, !known.contains(keeper) { return [pool] }
    return ((try? Files.list(pool)) ?? []).map { "\(pool)/\($0)" }.filter { group in
      guard isDirectory(group) else { return false }
      let isSpare = Files.split(group).name.hasPrefix("pod-f")
      return !isSpare || (try? Files.read("\(group)/cgroup.procs"))?.isEmpty != true
    }
  }

  private static func isDirectory(_ path: String) -> Bool {
    var facts = stat()
    return lstat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFDIR
  }

  /// Bytes of both nodes' images, roots, volumes and logs.
  private static func used(_ cluster: TestCluster) -> Int64 {
    nodes.reduce(0) { sum, node in
      let paths = NodePaths(data: cluster.dataDirectory(node))
      return sum
        + [paths.images, paths.roots, paths.pods, paths.logs, paths.messages].reduce(0) {
          $0 + (Files.usage(below: $1)?.bytes ?? 0)
        }
    }
  }

  /// Every pod asks the registry anew, so that there is always a pull to be killed, and has all that a pod leaves:
  /// a root that is written to, volumes on disk and in memory, limits.
  private static func job(_ name: String, image: String, pods: Int64, script: String) -> JSON {
    [
      "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": .string(name)],
      "spec": [
        "completions": .int(pods), "parallelism": 8, "backoffLimit": 100_000,
        "template": [
          "spec": [
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "containers": [
              [
                "name": "main", "image": .string(image), "imagePullPolicy": "Always",
                "command": ["sh", "-c", .string(script)], "resources": ["limits": ["memory": "64Mi", "cpu": "1"]],
                "volumeMounts": [["name": "disk", "mountPath": "/disk"], ["name": "ram", "mountPath": "/ram"]],
              ]
            ],
            "volumes": [["name": "disk", "emptyDir": [:]], ["name": "ram", "emptyDir": ["medium": "Memory"]]],
          ]
        ],
      ],
    ]
  }

  @Test("whatever is killed, no process, mount, control group, root, volume or log is left, and no byte on disk")
  func storm() async throws {
    let seed = UInt64.random(in: 1...1_000_000)
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        let scratch = "\(cluster.directory)/images"
        try Files.makeDirectory(scratch)
        let registry = try BoxRegistry(scratch, tags: Self.tags)
        for node in Self.nodes { try cluster.startAgent(node, ["--images", "on"]) }
        try cluster.waitForNodes(2)
        // Every image is on every node once: what the disk holds then it holds in the end.
        for tag in 1...Self.tags {
          try cluster.apply(Self.job("first-\(tag)", image: registry.name(tag), pods: 12, script: "sleep 0.5"))
        }
        for tag in 1...Self.tags {
          try cluster.must("wait", "job/first-\(tag)", "--for=complete", "--timeout", "90s", "-q", within: 120)
        }
        try cluster.must("delete", "jobs", "--all")
        var known = try Self.known(cluster)
        try eventually("nothing is left of the first", seen: { "\(Self.remains(cluster, known: known))" }) {
          Self.remains(cluster, known: known) == Remains()
        }
        let before = Self.used(cluster)

        let script = "head -c 300000 /dev/zero > /disk/f; cp /disk/f /ram/f; cp /disk/f /f; sleep 0.3; (sleep 1000 &)"
        try cluster.apply(Self.job("held", image: registry.name(1), pods: 4, script: "sleep 1000"))
        for tag in 1...Self.tags {
          let pods = Self.pods / Int64(Self.tags)
          try cluster.apply(Self.job("storm-\(tag)", image: registry.name(tag), pods: pods, script: script))
        }
        var storm = Storm(cluster: cluster, random: SplitMix64(seed: seed))
        var entered: [Program] = []
        while try (1...Self.tags).contains(where: { try !cluster.isComplete("storm-\($0)") }) {
          if let exec = try Self.enter(cluster, number: entered.count) { entered.append(exec) }
          // The work has to come through between the blows.
          poll(nil, 0, Int32(200 + storm.next(1_500)))
          try storm.strike()
        }
        try cluster.must("delete", "jobs", "--all", "--timeout", "60s", within: 90)
        for exec in entered { _ = try exec.end(within: 30) }
        // The last blow may have met a keeper just now: its node is Ready until the next heartbeat.
        try eventually("both nodes are Ready, with a keeper") {
          known = (try? Self.known(cluster)) ?? []
          return try !known.isEmpty && Self.nodes.allSatisfy { try cluster.isReady($0) }
        }
        try eventually("nothing is left", seconds: 60, seen: { "\(Self.remains(cluster, known: known))" }) {
          known = (try? Self.known(cluster)) ?? known
          return Self.remains(cluster, known: known) == Remains()
        }
        let after = Self.used(cluster)
        try check(after <= before + 1 << 20, "seed \(seed): \(before) bytes on disk before, \(after) after")
        print(
          "image storm \(seed): \(Self.pods) pods, killed \(storm.killed.sorted { $0.key < $1.key }), "
            + "\(entered.count) execs, \(before) bytes before, \(after) after")
      }
    }
  }

  private static func known(_ cluster: TestCluster) throws -> Set<Int32> {
    Set(try nodes.flatMap { [try found(cluster.agents[$0]?.pid, "agent"), try cluster.keeper(of: $0).pid] })
  }

  /// Every few blows somebody enters a pod and starts what does not end by itself.
  private static func enter(_ cluster: TestCluster, number: Int) throws -> Program? {
    guard number < 12, let pod = try cluster.pods(of: "held").randomElement(),
      let name = pod[path: ["metadata", "name"]]?.stringValue
    else { return nil }
    return try cluster.begin("exec", name, "--", "sh", "-c", "(sleep 1000 &); sleep 1000")
  }
}
