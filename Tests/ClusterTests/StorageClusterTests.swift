// Claims on a cluster of real processes: what one pod writes the next one finds, on the node that has it, whatever
// happens to the agent; and nothing is left when the claim is gone.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("Claims on a cluster") struct StorageClusterTests {
  private let claim: JSON = [
    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": ["name": "data"],
    "spec": ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "1Gi"]]],
  ]

  /// Mounts the claim at /data: all of it, or a part.
  private func mount(_ job: inout JSON, part: String? = nil) {
    var mount: JSON = ["name": "data", "mountPath": "/data"]
    if let part { mount["subPath"] = .string(part) }
    let pod = ["spec", "template", "spec"]
    let mounts = job[path: pod + ["containers"]]?[0]?["volumeMounts"]?.arrayValue ?? []
    var container = job[path: pod + ["containers"]]?[0] ?? .null
    container["volumeMounts"] = .array(mounts + [mount])
    job[path: pod + ["containers"]] = [container]
    let volumes = job[path: pod + ["volumes"]]?.arrayValue ?? []
    job[path: pod + ["volumes"]] = .array(
      volumes + [["name": "data", "persistentVolumeClaim": ["claimName": "data"]]])
  }

  private func nodes(_ cluster: TestCluster) throws -> Set<String> {
    Set(try cluster.pods().compactMap { $0[path: ["spec", "nodeName"]]?.stringValue })
  }

  private func directories(_ cluster: TestCluster) -> [String] {
    ["node-1", "node-2", "node-3"].flatMap { node in
      let path = "\(cluster.dataDirectory(node))/claims"
      return ((try? Files.list(path)) ?? []).map { "\(path)/\($0)" }
    }
  }

  @Test("pods one after another write to a claim; the agent is killed, and the next pod finds all on the same node")
  func outlives() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 3) { cluster in
        try cluster.apply(claim)
        let script = "echo $HOSTNAME >> /data/words; sign \"lines-$(wc -l < /data/words)\"\n"
        try cluster.apply(cluster.manifest("writers", completions: 4, parallelism: 1, .script(script)) { mount(&$0) })
        try cluster.must("wait", "job/writers", "--for=complete", "--timeout", "60s", "-q")
        let there = try nodes(cluster)
        try checkEqual(there.count, 1, "nodes of pods with one claim")
        let node = try found(there.first, "node")
        try checkEqual(directories(cluster).count, 1, "directories of claims")
        try cluster.killAgent(node)
        try cluster.killCoordinator()
        try cluster.startCoordinator()
        try cluster.apply(cluster.manifest("reader", .script(script)) { mount(&$0) })
        try cluster.startAgent(node)
        try cluster.must("wait", "job/reader", "--for=complete", "--timeout", "60s", "-q")
        try checkEqual(try nodes(cluster), there, "node of the pod after the kill")
        let lines = cluster.ledger.signs.map(\.word).filter { $0.hasPrefix("lines-") }
        try checkEqual(lines.sorted(), (1...5).map { "lines-\($0)" }, "lines that were there")
        try cluster.ledger.checkNothingRanTwice(parallelism: 1)

        try cluster.must("delete", "pvc", "data", "--wait=false")
        try check(directories(cluster).count == 1, "a claim that pods name stays")
        try cluster.must("delete", "job", "writers")
        try cluster.must("delete", "job", "reader")
        try eventually("the claim's directory is removed") { directories(cluster).isEmpty }
        try eventually("and its volume") {
          let (_, text) = try cluster.stint("get", "pv")
          return text.contains("No resources found")
        }
      }
    }
  }

  @Test("a part of a claim that a pod has made a link of leads nowhere else") func linkedPart() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 1) { cluster in
        try cluster.apply(claim)
        try Files.makeDirectory("\(cluster.directory)/outside")
        try Files.writeAtomically("\(cluster.directory)/outside/secret", [1])
        let evil = "ln -s \(cluster.directory)/outside /data/part; ln -s /etc /data/other\n"
        try cluster.apply(cluster.manifest("evil", .script(evil)) { mount(&$0) })
        try cluster.must("wait", "job/evil", "--for=complete", "--timeout", "60s", "-q")
        for part in ["part", "other"] {
          let look = "[ -e /data/secret ] && sign escaped; [ -e /data/passwd ] && sign escaped; sign end\n"
          try cluster.apply(
            cluster.manifest("look-\(part)", .script(look)) { job in
              mount(&job, part: part)
              job[path: ["spec", "activeDeadlineSeconds"]] = 5
              job[path: ["spec", "backoffLimit"]] = 0
            })
          try eventually("the Job has an end") {
            let conditions = try cluster.job("look-\(part)")[path: ["status", "conditions"]]?.arrayValue ?? []
            return conditions.contains { ["Complete", "Failed"].contains($0["type"]?.stringValue) }
          }
        }
        try check(!cluster.ledger.signs.contains { $0.word == "escaped" }, "a link led out of the claim")
      }
    }
  }
}
