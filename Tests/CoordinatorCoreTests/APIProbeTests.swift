// Probes, sizes of volumes and times that no object may have, with Kubernetes' messages.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("API: probes, sizes and times") struct APIProbeTests {
  private func errors(probe: JSON, _ name: String = "livenessProbe") -> [String] {
    var validation = ProbeValidation()
    validation.container([name: probe], "c")
    return validation.errors.all.map(\.text)
  }

  @Test("probes need one handler, a port and periods that can be")
  func probes() {
    let get: JSON = ["path": "/", "port": 80, "scheme": "HTTP"]
    #expect(errors(probe: ["httpGet": get, "periodSeconds": 10, "successThreshold": 1]) == [])
    #expect(errors(probe: ["httpGet": ["path": "/", "port": "http", "scheme": "HTTP"]], "startupProbe") == [])
    #expect(errors(probe: [:]) == ["c.livenessProbe: Required value: must specify a handler type"])
    #expect(
      errors(probe: ["httpGet": get, "exec": ["command": ["x"]]]) == [
        "c.livenessProbe.httpGet: Forbidden: may not specify more than 1 handler type"
      ])
    #expect(
      errors(probe: ["tcpSocket": ["port": 0], "periodSeconds": -1, "successThreshold": 2]) == [
        "c.livenessProbe.tcpSocket.port: Invalid value: 0: must be between 1 and 65535, inclusive",
        "c.livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
        "c.livenessProbe.successThreshold: Invalid value: 2: must be 1",
      ])
    #expect(
      errors(probe: ["tcpSocket": ["port": "-a"]]) == [
        "c.livenessProbe.tcpSocket.port: Invalid value: \"-a\": must not begin or end with a hyphen"
      ])
    #expect(errors(probe: ["grpc": ["port": 70_000]], "readinessProbe").count == 1)
  }

  private func errors(hook: JSON, grace: Int64? = 30) -> [String] {
    var validation = ProbeValidation(grace: grace)
    validation.container(["lifecycle": ["preStop": hook]], "c")
    return validation.errors.all.map(\.text)
  }

  @Test("a readiness probe has no grace: it ends nobody")
  func readinessGrace() {
    let probe: JSON = ["exec": ["command": ["x"]], "terminationGracePeriodSeconds": 5]
    #expect(errors(probe: probe) == [])
    #expect(
      errors(probe: probe, "readinessProbe") == [
        "c.readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes"
      ])
  }

  @Test("a header has a name that can be one")
  func headers() {
    let get: JSON = ["path": "/", "port": 80, "scheme": "HTTP", "httpHeaders": [["name": "X Y", "value": "v"]]]
    let why =
      "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for "
      + "validation is '[-A-Za-z0-9]+')"
    #expect(
      errors(probe: ["httpGet": get]) == ["c.livenessProbe.httpGet.httpHeaders: Invalid value: \"X Y\": \(why)"])
  }

  @Test("a hook has one handler, and sleeps no longer than the grace")
  func hooks() {
    #expect(errors(hook: ["exec": ["command": ["x"]]]) == [])
    #expect(errors(hook: ["sleep": ["seconds": 0]]) == [])
    #expect(errors(hook: ["tcpSocket": ["port": 80]]) == [])
    #expect(errors(hook: [:]) == ["c.lifecycle.preStop: Required value: must specify a handler type"])
    #expect(errors(hook: ["exec": ["command": []]]) == ["c.lifecycle.preStop.exec.command: Required value"])
    #expect(
      errors(hook: ["exec": ["command": ["x"]], "sleep": ["seconds": 1]]) == [
        "c.lifecycle.preStop.sleep: Forbidden: may not specify more than 1 handler type"
      ])
    for seconds in [-1, 31] as [Int64] {
      #expect(
        errors(hook: ["sleep": ["seconds": .int(seconds)]]) == [
          "c.lifecycle.preStop.sleep: Invalid value: \(seconds): must be non-negative and less than "
            + "terminationGracePeriodSeconds (30)"
        ])
    }
  }

  @Test("a Job's pods keep probes and hooks, with Kubernetes' defaults and without a warning")
  func kept() throws {
    let harness = try APIHarness()
    let container: JSON = [
      "name": "main", "image": "host", "command": ["x"],
      "readinessProbe": ["httpGet": ["port": 80]], "livenessProbe": ["exec": ["command": ["x"]], "periodSeconds": 0],
      "lifecycle": ["postStart": ["httpGet": ["port": 80]], "preStop": ["sleep": ["seconds": 3]]],
    ]
    let answer = harness.create(.jobs, Manifest.job("j", pod: ["containers": [container]]))
    #expect(answer.code == 201)
    #expect(answer.warnings == [])
    let kept = try #require(
      harness.get(.jobs, "j").object[path: ["spec", "template", "spec", "containers"]]?[0])
    #expect(kept[path: ["lifecycle", "postStart", "httpGet", "path"]] == "/")
    #expect(kept[path: ["lifecycle", "postStart", "httpGet", "scheme"]] == "HTTP")
    #expect(kept[path: ["livenessProbe", "periodSeconds"]] == 10)
    #expect(kept[path: ["readinessProbe", "failureThreshold"]] == 3)
    #expect(ContainerCare(json: kept).preStop == .pause(seconds: 3))
  }

  @Test("only init containers that go on beside the others may have probes and hooks, whatever is in them")
  func initContainers() throws {
    let harness = try APIHarness()
    let bad: JSON = [
      "name": "i", "image": "host", "command": ["x"], "lifecycle": ["preStop": [:]], "readinessProbe": [:],
    ]
    var sidecar = bad
    sidecar["restartPolicy"] = "Always"
    let main: JSON = ["name": "main", "image": "host", "command": ["x"]]
    let refused = harness.create(.jobs, Manifest.job("a", pod: ["initContainers": [bad], "containers": [main]]))
    let field = "spec.template.spec.initContainers[0]"
    let why = "may not be set for init containers without restartPolicy=Always"
    #expect(refused.code == 422)
    #expect(refused.message.contains("\(field).lifecycle: Forbidden: \(why)"))
    #expect(refused.message.contains("\(field).readinessProbe: Forbidden: \(why)"))
    #expect(!refused.message.contains("must specify a handler type"))
    let other = harness.create(.jobs, Manifest.job("b", pod: ["initContainers": [sidecar], "containers": [main]]))
    #expect(other.message.contains("\(field).readinessProbe: Required value: must specify a handler type"))
    #expect(other.message.contains("\(field).lifecycle.preStop: Required value: must specify a handler type"))
  }

  @Test("a directory cannot be smaller than nothing")
  func sizeLimit() {
    var validation = VolumeValidation()
    validation.all([["name": "v", "emptyDir": ["sizeLimit": "-1"]]], "spec.volumes")
    #expect(
      validation.errors.all.map(\.text) == [
        "spec.volumes[0].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity"
      ])
  }

  @Test("an offset of more than a day is no time", arguments: ["+99:99", "+25:00", "-00:61"])
  func offsets(_ offset: String) {
    #expect(WallTime(rfc3339: "2026-01-02T03:04:05\(offset)") == nil)
    #expect(WallTime(rfc3339: "2026-01-02T03:04:05+14:00") != nil)
  }
}
