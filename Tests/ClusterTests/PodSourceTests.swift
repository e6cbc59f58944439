// Pods that read Secrets, ConfigMaps and their own fields, on a cluster of real processes; and what shows when one is
// missing.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("Pods read Secrets, ConfigMaps and their own fields")
struct PodSourceTests {
  private static let script = """
    echo env=$PASSWORD all=$ALL_user,$ALL_password name=$POD_NAME cpu=$CPU
    cd /secret && echo secret=$(cat user),$(cat password),$(stat -c %a password)
    cd /all && echo projected=$(cat deep/pass),$(cat settings),$(cat name),$(stat -c %a deep/pass)
    echo labels: && cat /all/labels && echo && cat /expr/who

    """

  private static let sources: JSON = [
    ["secret": ["name": "login", "items": [["key": "password", "path": "deep/pass", "mode": 256]]]],
    ["configMap": ["name": "settings", "items": [["key": "color", "path": "settings"]]]],
    [
      "downwardAPI": [
        "items": [
          ["path": "name", "fieldRef": ["fieldPath": "metadata.name"]],
          ["path": "labels", "fieldRef": ["fieldPath": "metadata.labels"]],
        ]
      ]
    ],
  ]

  private static func change(_ job: inout JSON) {
    job[path: ["spec", "template", "metadata"]] = ["labels": ["app": "reader"]]
    var spec = job[path: ["spec", "template", "spec"]] ?? .null
    var container = spec["containers"]?[0] ?? .null
    container["env"] = [
      ["name": "PASSWORD", "valueFrom": ["secretKeyRef": ["name": "login", "key": "password"]]],
      ["name": "POD_NAME", "valueFrom": ["fieldRef": ["fieldPath": "metadata.name"]]],
      ["name": "CPU", "valueFrom": ["resourceFieldRef": ["resource": "requests.cpu", "divisor": "1m"]]],
    ]
    container["envFrom"] = [["prefix": "ALL_", "secretRef": ["name": "login"]]]
    container["resources"] = ["requests": ["cpu": "5m"]]
    container["volumeMounts"] = .array(
      (container["volumeMounts"]?.arrayValue ?? []) + [
        ["name": "secret", "mountPath": "/secret"], ["name": "all", "mountPath": "/all"],
        ["name": "scratch", "mountPath": "/expr", "subPathExpr": "$(POD_NAME)"],
        ["name": "scratch", "mountPath": "/scratch"],
      ])
    spec["containers"] = [container]
    var first: JSON = ["name": "first", "image": "host", "command": ["sh", "-c", "echo $POD_NAME > /mine/who"]]
    first["env"] = [["name": "POD_NAME", "valueFrom": ["fieldRef": ["fieldPath": "metadata.name"]]]]
    first["volumeMounts"] = [["name": "scratch", "mountPath": "/mine", "subPathExpr": "$(POD_NAME)"]]
    spec["initContainers"] = [first]
    spec["volumes"] = .array(
      (spec["volumes"]?.arrayValue ?? []) + [
        ["name": "secret", "secret": ["secretName": "login"]], ["name": "all", "projected": ["sources": sources]],
        ["name": "scratch", "emptyDir": [:]],
      ])
    job[path: ["spec", "template", "spec"]] = spec
  }

  @Test("a Job waits for a Secret with kubelet's Events, then reads it as variables and files beside the rest")
  func read() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 1) { cluster in
        try cluster.apply(
          ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "settings"], "data": ["color": "blue"]],
          cluster.manifest("reader", .script(Self.script), change: Self.change))
        try eventually("the missing Secret is told") {
          try cluster.events("FailedMount").contains {
            $0 == "MountVolume.SetUp failed for volume \"secret\" : secret \"login\" not found"
          }
        }
        let waiting = try found(cluster.pods(of: "reader").first, "pod")
        try checkEqual(
          waiting[path: ["status", "containerStatuses"]]?[0]?[path: ["state", "waiting", "reason"]],
          "PodInitializing", "the reason that the container shows")
        try cluster.apply([
          "apiVersion": "v1", "kind": "Secret", "metadata": ["name": "login"],
          "stringData": ["user": "ada", "password": "p4 ss"],
        ])
        try cluster.must("wait", "job/reader", "--for=complete", "--timeout", "60s", "-q")
        let pod = waiting[path: ["metadata", "name"]]?.stringValue ?? ""
        let log = try cluster.stint("logs", "job/reader").text
        for line in [
          "env=p4 ss all=ada,p4 ss name=\(pod) cpu=5\n", "secret=ada,p4 ss,644\n", "projected=p4 ss,blue,\(pod),400\n",
          "labels:\napp=\"reader\"\n", "job-name=\"reader\"\n\(pod)\n",
        ] {
          try check(log.contains(line), "the log lacks \(line): \(log)")
        }
        // What the node keeps of an attempt that ended holds no value.
        let journal = String(
          decoding: try Files.read("\(cluster.dataDirectory("node-1"))/keeper.journal"), as: UTF8.self)
        try check(!journal.contains("p4 ss") && !journal.contains("cDQgc3M="), "the journal holds a Secret's value")
      }
    }
  }
}
