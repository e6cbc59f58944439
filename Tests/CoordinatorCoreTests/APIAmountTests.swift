// Amounts and lists at their edges: full ConfigMaps, negative grace, parts of a byte, Services' ports, events' sources.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("amounts and lists") struct APIAmountTests {
  @Test("a ConfigMap takes exactly 1 MiB of data, also where each byte is two as JSON, and not a byte more")
  func exactlyFull() throws {
    let harness = try APIHarness()
    for text in [String(repeating: "x", count: 1 << 20), String(repeating: "\n", count: 1 << 20)] {
      let made = harness.create(.configmaps, Manifest.configMap("full", ["k": .string(text)]))
      #expect(made.code == 201, "\(made.message)")
      #expect(harness.get(.configmaps, "full").object[path: ["data", "k"]]?.stringValue == text)
      let more = harness.patch(.configmaps, "full", .merge, ["data": ["l": "y"]])
      #expect(more.message == #"ConfigMap "full" is invalid: []: Too long: may not be more than 1048576 bytes"#)
      harness.delete(.configmaps, "full")
    }
  }

  @Test("a negative grace is one second, with Kubernetes' warning; only that may be put right later")
  func negativeGrace() throws {
    let harness = try APIHarness()
    let answer = harness.create(.jobs, Manifest.job("j", pod: ["terminationGracePeriodSeconds": -1]))
    #expect(answer.code == 201)
    #expect(
      answer.warnings == [
        "spec.template.spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be "
          + "treated as 1"
      ])
    harness.create(.pods, Manifest.pod("p", spec: ["terminationGracePeriodSeconds": -1]))
    let key = ObjectKey(namespace: "default", name: "p")
    #expect(harness.core.state.pods[key]?.spec.terminationGracePeriodSeconds == 1)
    let longer = harness.patch(.pods, "p", .merge, ["spec": ["terminationGracePeriodSeconds": 60]])
    #expect(longer.code == 422 && longer.message.contains("spec: Forbidden: pod updates may not change fields"))
    #expect(harness.patch(.pods, "p", .merge, ["spec": ["terminationGracePeriodSeconds": 1]]).code == 200)
  }

  @Test("parts of a byte earn Kubernetes' warning")
  func fractionalBytes() throws {
    let harness = try APIHarness()
    var job = Manifest.job("j")
    job[path: ["spec", "template", "spec", "containers"]] = [
      [
        "name": "main", "image": "busybox", "command": ["true"],
        "resources": ["requests": ["memory": "64m", "cpu": "5m"]],
      ]
    ]
    #expect(
      harness.create(.jobs, job).warnings == [
        "spec.template.spec.containers[0].resources.requests[memory]: fractional byte value \"64m\" is invalid, must "
          + "be an integer"
      ])
  }

  @Test("an amount above all that is counted is a whole number of bytes")
  func largestBytes() throws {
    let harness = try APIHarness()
    var job = Manifest.job("j")
    job[path: ["spec", "template", "spec", "containers"]] = [
      ["name": "main", "image": "busybox", "command": ["true"], "resources": ["requests": ["memory": "4Ei"]]]
    ]
    #expect(harness.create(.jobs, job).warnings == [])
  }

  @Test("ports of a Service merge by number and protocol when applied, by number in a strategic patch")
  func servicePorts() throws {
    let harness = try APIHarness()
    func service(_ ports: JSON) -> JSON {
      ["apiVersion": "v1", "kind": "Service", "metadata": ["name": "s"], "spec": ["ports": ports]]
    }
    func ports(_ answer: RequestAnswer) -> [String] {
      (answer.object[path: ["spec", "ports"]]?.arrayValue ?? []).map {
        "\($0["port"]?.intValue ?? 0)/\($0["protocol"]?.stringValue ?? "-") \($0["name"]?.stringValue ?? "-")"
      }
    }
    func apply(_ json: JSON, _ manager: String) -> RequestAnswer {
      harness.patch(.services, "s", .apply, json) { $0.fieldManager = manager }
    }
    _ = apply(service([["port": 53, "protocol": "UDP", "name": "dns"]]), "one")
    let both = apply(service([["port": 53, "protocol": "TCP", "name": "dns-tcp"]]), "two")
    #expect(Set(ports(both)) == ["53/UDP dns", "53/TCP dns-tcp"])
    let again = apply(service([["port": 53, "protocol": "TCP", "name": "other"]]), "two")
    #expect(Set(ports(again)) == ["53/UDP dns", "53/TCP other"])
    let conflict = apply(service([["port": 53, "protocol": "UDP", "name": "mine"]]), "two")
    #expect(conflict.code == 409 && conflict.message.contains(#".spec.ports[port=53,protocol="UDP"].name"#))
    let patched = harness.patch(
      .services, "s", .strategic, ["spec": ["ports": [["port": 80, "name": "web"]]]])
    #expect(Set(ports(patched)) == ["53/UDP dns", "53/TCP other", "80/- web"])
    let dropped = harness.patch(
      .services, "s", .strategic, ["spec": ["ports": [["port": 80, "$patch": "delete"]]]])
    #expect(Set(ports(dropped)) == ["53/UDP dns", "53/TCP other"])
  }

  @Test("events are selected by their source, or else by the program that reports them")
  func eventSource() throws {
    let harness = try APIHarness()
    let object: JSON = ["kind": "Pod", "name": "p", "namespace": "default"]
    harness.create(
      .events, ["metadata": ["name": "old"], "involvedObject": object, "source": ["component": "mine"]])
    harness.create(
      .events, ["metadata": ["name": "new"], "involvedObject": object, "reportingComponent": "mine"])
    harness.create(
      .events,
      [
        "metadata": ["name": "other"], "involvedObject": object, "source": ["component": "other"],
        "reportingComponent": "mine",
      ])
    #expect(harness.list(.events) { $0.fieldSelector = "source=mine" }.itemNames == ["new", "old"])
  }
}
