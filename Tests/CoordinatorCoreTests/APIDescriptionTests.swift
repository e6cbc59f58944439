// `kubectl explain` says something of everything: no type and no field of the documents lacks a description, and no
// text is left over.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("descriptions") struct APIDescriptionTests {
  private static let groups = [""] + ServedResource.groups

  @Test("no type and no field of any group's document lacks a description", arguments: groups)
  func complete(_ group: String) throws {
    let schemas = OpenAPI.document(group: group)[path: ["components", "schemas"]]?.objectValue ?? JSONObject()
    var fields = 0
    for (name, schema) in schemas {
      if name.hasSuffix("IntOrString") { continue }
      #expect(schema["description"]?.stringValue?.isEmpty == false, "\(name)")
      for (field, property) in schema["properties"]?.objectValue ?? JSONObject() {
        fields += 1
        let text = property["description"]?.stringValue ?? ""
        #expect(text.hasSuffix(".") && !text.contains("  "), "\(name).\(field): \(text)")
      }
    }
    #expect(fields > 5)
  }

  @Test("a kind that discovery shows is in its group's document, also one of which there are none")
  func discovered() {
    // What is used has no schema here, as it has none without a metrics-server.
    for resource in ServedResource.discovered
    where resource.verbs.contains("list") && resource.group != MetricsGroup.name {
      let document = OpenAPI.document(group: resource.group)
      let isThere = (document["paths"]?.objectValue ?? JSONObject()).contains { path, operations in
        path.hasSuffix("/\(resource.plural)")
          && operations[path: ["get", "x-kubernetes-group-version-kind", "kind"]]?.stringValue == resource.kind
      }
      #expect(isThere, "\(resource.plural)")
    }
    let schemas = OpenAPI.document(group: "apps")[path: ["components", "schemas"]]
    let text = schemas?["io.k8s.api.apps.v1.Deployment"]?["description"]?.stringValue
    #expect(text?.hasPrefix("Deployment is not served by this version") == true)
  }

  @Test("every type of the schema has one, also those that no document shows")
  func types() {
    for (name, type) in Schema.structs.sorted(by: { $0.key < $1.key }) {
      #expect(Descriptions.text(type: name) != nil, "\(name)")
      for field in type.fieldNames.compactMap({ type[$0] }) {
        #expect(Descriptions.text(name, field) != nil, "\(name).\(field.name)")
      }
    }
  }

  @Test("no text describes what is not there")
  func noneLeftOver() {
    for place in Descriptions.places where !place.hasPrefix("*") {
      let parts = place.split(separator: ".", maxSplits: 1).map(String.init)
      let type = Schema.structs[parts[0]]
      #expect(type != nil && (parts.count == 1 || type?[parts[1]] != nil), "\(place)")
    }
  }

  @Test("what is refused or without effect says so")
  func honest() {
    func text(_ type: String, _ field: String) -> String {
      Schema.structs[type]?[field].flatMap { Descriptions.text(type, $0) } ?? ""
    }
    #expect(text("JobSpec", "scheduling").hasSuffix("without effect in this version."))
    #expect(text("PodSpec", "resourceClaims").hasSuffix("Refused in this version."))
    #expect(text("EphemeralContainer", "ports").hasSuffix("Refused in this version."))
    #expect(text("PodSpec", "hostnameOverride").hasSuffix("without effect in this version."))
    #expect(text("Container", "command").contains("CreateContainerConfigError"))
  }
}
