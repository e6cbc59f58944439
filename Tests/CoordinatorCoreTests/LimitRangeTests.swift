// LimitRanges: what is refused first, in Kubernetes' words; then what is filled in, for pods of clients and of Jobs.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("limit ranges") struct LimitRangeTests {
  private func range(_ items: JSON...) -> JSON { ["metadata": ["name": "l"], "spec": ["limits": .array(items)]] }

  private func pod(_ resources: JSON, _ more: JSON = [:]) -> JSON {
    var spec = more
    spec["containers"] = [["name": "c", "image": "busybox:1", "command": ["true"], "resources": resources]]
    return Manifest.pod("p", spec: spec)
  }

  @Test(
    "what a LimitRange forbids is told in Kubernetes' words",
    arguments: [
      (
        ["type": "Container", "min": ["cpu": "100m"]], ["requests": ["cpu": "50m"]],
        "minimum cpu usage per Container is 100m, but request is 50m"
      ),
      (
        ["type": "Container", "max": ["memory": "1Gi"]], ["limits": ["memory": "2Gi"]],
        "maximum memory usage per Container is 1Gi, but limit is 2Gi"
      ),
      (
        ["type": "Pod", "max": ["cpu": "1"]], [:], "maximum cpu usage per Pod is 1.  No limit is specified"
      ), (["type": "Pod", "min": ["cpu": "1"]], [:], "minimum cpu usage per Pod is 1.  No request is specified"),
      (
        ["type": "Container", "maxLimitRequestRatio": ["cpu": "2"]],
        ["requests": ["cpu": "1"], "limits": ["cpu": "3"]],
        "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000"
      ),
      (
        ["type": "Container", "maxLimitRequestRatio": ["cpu": "2"]], [:],
        "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0"
      ),
      (
        ["type": "Pod", "max": ["cpu": "1", "memory": "1Gi"]], ["limits": ["cpu": "2", "memory": "2Gi"]],
        "[maximum cpu usage per Pod is 1, but limit is 2, maximum memory usage per Pod is 1Gi, but limit is 2Gi]"
      ),
    ] as [(JSON, JSON, String)])
  func forbidden(item: JSON, resources: JSON, message: String) throws {
    let harness = try APIHarness()
    #expect(harness.create(.limitranges, range(item)).code == 201)
    let answer = harness.create(.pods, pod(resources))
    #expect(answer.code == 403 && answer.message == "pods \"p\" is forbidden: \(message)", "\(answer.message)")
  }

  @Test(
    "a LimitRange that contradicts itself is refused",
    arguments: [
      (["type": "Odd"], "must be a standard limit type or fully qualified"),
      (["type": "Pod", "default": ["cpu": "1"]], "may not be specified when `type` is 'Pod'"),
      (
        ["type": "Container", "min": ["cpu": "2"], "max": ["cpu": "1"]],
        #"spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1"#
      ),
      (
        ["type": "Container", "defaultRequest": ["cpu": "2"], "default": ["cpu": "1"]],
        "default request value 2 is greater than default limit value 1"
      ), (["type": "Container", "maxLimitRequestRatio": ["cpu": "500m"]], "ratio 500m is less than 1"),
      (
        [
          "type": "Container", "max": ["memory": "1e16"], "min": ["memory": "1e16"],
          "maxLimitRequestRatio": ["memory": "2e16"],
        ], "is greater than max/min = 1.000000"
      ),
      (
        [
          "type": "Pod", "max": ["cpu": "9223372036854775807"], "min": ["cpu": "9223372036854775807"],
          "maxLimitRequestRatio": ["cpu": "9223372036854775807"],
        ], "is greater than max/min = 1.000000"
      ),
    ] as [(JSON, String)])
  func invalid(item: JSON, message: String) throws {
    let harness = try APIHarness()
    let answer = harness.create(.limitranges, range(item))
    #expect(answer.code == 422 && answer.message.contains(message), "\(answer.message)")
    #expect(harness.create(.limitranges, range(["type": "Pod"], ["type": "Pod"])).message.contains("Duplicate value"))
  }

  @Test("what is not said is filled in, of max and min too, and an annotation says so") func filledIn() throws {
    let harness = try APIHarness()
    let made = harness.create(
      .limitranges,
      range([
        "type": "Container", "default": ["cpu": "500m"], "defaultRequest": ["cpu": "200m"], "max": ["memory": "1Gi"],
      ]))
    let item = made.object[path: ["spec", "limits"]]?[0]
    #expect(item?["default"] == ["cpu": "500m", "memory": "1Gi"] && item?["defaultRequest"]?["memory"] == "1Gi")
    let answer = harness.create(.pods, pod(["limits": ["memory": "512Mi"]]))
    #expect(answer.code == 201, "\(answer.message)")
    #expect(
      answer.object[path: ["spec", "containers"]]?[0]?["resources"]
        == ["limits": ["cpu": "500m", "memory": "512Mi"], "requests": ["cpu": "200m", "memory": "512Mi"]])
    #expect(
      answer.object[path: ["metadata", "annotations"]]?["kubernetes.io/limit-ranger"]
        == "LimitRanger plugin set: cpu request for container c; cpu limit for container c")
    #expect(answer.object[path: ["status", "qosClass"]] == "Burstable")
  }

  @Test("pods of a Job get them as well, those that a LimitRange forbids are refused, and go on when it changes")
  func jobs() throws {
    let cluster = try JobCluster()
    func create(_ body: JSON) -> Int? {
      cluster.ask(APIRequest(verb: .create, kind: .limitranges, namespace: "default", body: body)).code
    }
    #expect(create(range(["type": "Container", "default": ["cpu": "2"], "max": ["cpu": "3"]])) == 201)
    cluster.create("j", JobCluster.notTerminate, ["parallelism": 1, "completions": 1])
    let pod = try #require(cluster.pods("j").first)
    #expect(pod[path: ["spec", "containers"]]?[0]?["resources"]?["limits"] == ["cpu": "2"])
    #expect(pod[path: ["metadata", "annotations", "kubernetes.io/limit-ranger"]] != nil)
    let big: JSON = ["name": "main", "image": "x:1", "command": ["true"], "resources": ["limits": ["cpu": "4"]]]
    cluster.create("big", JobCluster.notTerminate, ["parallelism": 1, "completions": 1], pod: ["containers": [big]])
    #expect(cluster.pods("big").isEmpty)
    #expect(
      cluster.fleet.events("FailedCreate").contains {
        $0.hasPrefix("Error creating: pods \"big-")
          && $0.hasSuffix("is forbidden: maximum cpu usage per Container is 3, but limit is 4")
      })
    cluster.delete(.limitranges, "l")
    #expect(cluster.pods("big").count == 1)
  }
}
