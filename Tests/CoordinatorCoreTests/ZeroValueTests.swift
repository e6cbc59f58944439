// Zeros that mean absence: who reads an object and writes it back without them changes nothing by that.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("zeros of optional fields") struct ZeroValueTests {
  private static let zeros: JSON = [
    "name": "main", "image": "busybox", "command": ["true"], "workingDir": "", "tty": false,
    "env": [["name": "A", "value": ""]], "ports": [["containerPort": 80, "hostPort": 0, "name": "", "hostIP": ""]],
    "volumeMounts": [["name": "v", "mountPath": "/v", "readOnly": false, "subPath": ""]],
  ]
  private static let spec: JSON = [
    "containers": [zeros], "hostNetwork": false, "hostname": "", "nodeName": "",
    "volumes": [["name": "v", "emptyDir": ["medium": ""]]],
  ]

  /// As a client with Kubernetes' types writes what it has read.
  private func written(_ object: JSON) -> JSON {
    var object = object
    object[path: ["spec", "containers"]] = .array(
      (object[path: ["spec", "containers"]]?.arrayValue ?? []).map { container in
        var container = container
        container["env"] = [["name": "A"]]
        return container
      })
    return object
  }

  @Test("a pod made with an empty variable is written back by a client that omits it") func variable() throws {
    let harness = try APIHarness()
    let made = harness.create(.pods, Manifest.pod("p", spec: Self.spec))
    #expect(made.code == 201, "\(made.message)")
    var object = written(made.object)
    object[path: ["metadata", "labels"]] = ["new": "label"]
    // The scheduler has written its status meanwhile.
    object[path: ["metadata", "resourceVersion"]] = nil
    let answer = harness.update(.pods, "p", object)
    #expect(answer.code == 200, "\(answer.message)")
  }

  @Test("zeros that mean absence are not kept; those that differ from it are") func kept() throws {
    let harness = try APIHarness()
    let spec = harness.create(.pods, Manifest.pod("p", spec: Self.spec)).object["spec"] ?? .null
    let container = spec["containers"]?[0] ?? .null
    #expect(container["env"] == [["name": "A"]] && container["workingDir"] == nil && container["tty"] == nil)
    #expect(container["ports"] == [["containerPort": 80, "protocol": "TCP"]])
    #expect(container["volumeMounts"]?[0] == ["name": "v", "mountPath": "/v"])
    #expect(spec["hostname"] == nil && spec["hostNetwork"] == nil && spec["volumes"]?[0]?["emptyDir"] == [:])
    let job = harness.create(
      .jobs,
      Manifest.job(
        "j", spec: ["parallelism": 0, "suspend": false, "backoffLimit": 0], pod: ["terminationGracePeriodSeconds": 0]))
    let kept = job.object["spec"] ?? .null
    #expect(kept["parallelism"] == 0 && kept["suspend"] == false && kept["backoffLimit"] == 0)
    #expect(kept[path: ["template", "spec", "terminationGracePeriodSeconds"]] == 0)
  }

  @Test("a zero that means absence gets the default") func defaults() throws {
    let harness = try APIHarness()
    var container = Self.zeros
    container["imagePullPolicy"] = ""
    container["readinessProbe"] = ["tcpSocket": ["port": 80], "timeoutSeconds": 0]
    let spec: JSON = [
      "containers": [container], "restartPolicy": "", "volumes": [["name": "v", "emptyDir": [:]]],
    ]
    let made = harness.create(.pods, Manifest.pod("p", spec: spec))
    #expect(made.object[path: ["spec", "restartPolicy"]] == "Always", "\(made.message)")
    let first = made.object[path: ["spec", "containers"]]?[0]
    #expect(first?["imagePullPolicy"] == "Always" && first?["readinessProbe"]?["timeoutSeconds"] == 1)
  }

  @Test("every field that may vanish is known to the schema by the same name and a type that has a zero")
  func table() {
    for (type, fields) in Protobuf.omitsZero {
      guard let known = Schema.structs[type] else { continue }
      for field in fields {
        guard let type = known[field]?.type else { continue }
        #expect([.string, .bool, .int32, .int64].contains(type), "\(field): \(type)")
      }
    }
  }
}
