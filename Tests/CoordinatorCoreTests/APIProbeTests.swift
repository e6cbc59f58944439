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
