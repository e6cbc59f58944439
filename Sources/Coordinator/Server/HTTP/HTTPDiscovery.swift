// Owns: discovery, legacy (one list a request) and aggregated: which groups and resources there are. Each is made once.
// It must not know objects, nor what verbs do.

import ClusterProto
import CoordinatorCore

enum HTTPDiscovery {
  /// The answer for `/api…` and `/apis…`; nil for paths of resources and of groups that are not served.
  static func answer(_ parts: [String], _ request: HTTPRequest) -> HTTPFacts.Answer? {
    // Of nearly every request it is a resource's path: what is asked for is looked at where there is a choice.
    var isAggregated: Bool { HTTPMedia.wantsAggregated(accept: request.header("accept")) }
    switch (parts.first, parts.count) {
    // With the address that the client came by.
    case ("api", 1): return isAggregated ? aggregatedCore : api(request.header("host") ?? "")
    case ("api", 2): return parts[1] == "v1" ? resources[""] : nil
    case ("apis", 1): return isAggregated ? aggregated : apis
    case ("apis", 2) where !parts[1].isEmpty: return group[parts[1]]
    case ("apis", 3) where !parts[1].isEmpty && parts[2] == ServedResource.version(of: parts[1]):
      return resources[parts[1]]
    default: return nil
    }
  }

  private static let groups = ServedResource.discoveredGroups

  // One list a request.

  /// Typed clients do without no address.
  private static func api(_ host: String) -> HTTPFacts.Answer {
    let address: JSON = ["clientCIDR": "0.0.0.0/0", "serverAddress": .string(host)]
    return HTTPFacts.Answer(["kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [address]])
  }

  private static let apis = HTTPFacts.Answer([
    "kind": "APIGroupList", "apiVersion": "v1", "groups": .array(groups.map(groupObject)),
  ])
  private static let group = Dictionary(
    uniqueKeysWithValues: groups.map { name in
      var object = groupObject(name)
      object["kind"] = "APIGroup"
      object["apiVersion"] = "v1"
      return (name, HTTPFacts.Answer(object))
    })

  private static func groupObject(_ name: String) -> JSON {
    let own = ServedResource.version(of: name)
    let version: JSON = ["groupVersion": .string("\(name)/\(own)"), "version": .string(own)]
    return ["name": .string(name), "versions": [version], "preferredVersion": version]
  }

  private static let resources = Dictionary(
    uniqueKeysWithValues: ([""] + groups).map { name in
      let list: JSON = [
        "kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": .string((name.isEmpty ? "" : "\(name)/") + ServedResource.version(of: name)),
        "resources": .array(ServedResource.discovered.filter { $0.group == name }.flatMap(resourceObjects)),
      ]
      return (name, HTTPFacts.Answer(list))
    })

  private static func strings(_ texts: [String]) -> JSON { .array(texts.map { .string($0) }) }

  private static func resourceObjects(_ resource: ServedResource) -> [JSON] {
    var object: JSON = [
      "name": .string(resource.plural), "singularName": .string(resource.singular),
      "namespaced": .bool(resource.isNamespaced), "kind": .string(resource.kind), "verbs": strings(resource.verbs),
    ]
    if !resource.shortNames.isEmpty { object["shortNames"] = strings(resource.shortNames) }
    if resource.isInAll { object["categories"] = ["all"] }
    return [object]
      + resource.subresources.map { subresource in
        var object: JSON = [
          "name": .string("\(resource.plural)/\(subresource.name)"), "singularName": "",
          "namespaced": .bool(resource.isNamespaced), "kind": .string(resource.kind),
          "verbs": strings(subresource.verbs),
        ]
        if let type = subresource.type {
          object["group"] = .string(type.group)
          object["version"] = "v1"
          object["kind"] = .string(type.kind)
        }
        return object
      }
  }

  // All at once.

  private static let aggregatedCore = aggregatedList([""])
  private static let aggregated = aggregatedList(groups)

  private static func aggregatedList(_ groups: [String]) -> HTTPFacts.Answer {
    let items: [JSON] = groups.map { name in
      let resources = ServedResource.discovered.filter { $0.group == name }
      var metadata: JSON = ["creationTimestamp": .null]
      if !name.isEmpty { metadata["name"] = .string(name) }
      return [
        "metadata": metadata,
        "versions": [
          [
            "version": .string(ServedResource.version(of: name)), "freshness": "Current",
            "resources": .array(resources.map(aggregatedResource)),
          ]
        ],
      ]
    }
    var answer = HTTPFacts.Answer([
      "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": [:],
      "items": .array(items),
    ])
    answer.type = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    return answer
  }

  private static func typeObject(_ group: String, _ kind: String) -> JSON {
    ["group": .string(group), "version": .string(ServedResource.version(of: group)), "kind": .string(kind)]
  }

  private static func aggregatedResource(_ resource: ServedResource) -> JSON {
    var object: JSON = [
      "resource": .string(resource.plural), "responseKind": typeObject(resource.group, resource.kind),
      "scope": resource.isNamespaced ? "Namespaced" : "Cluster", "singularResource": .string(resource.singular),
      "verbs": strings(resource.verbs),
    ]
    if !resource.shortNames.isEmpty { object["shortNames"] = strings(resource.shortNames) }
    if resource.isInAll { object["categories"] = ["all"] }
    let inner: [JSON] = resource.subresources.map { subresource in
      [
        "subresource": .string(subresource.name), "verbs": strings(subresource.verbs),
        "responseKind": typeObject(
          subresource.type?.group ?? resource.group, subresource.type?.kind ?? resource.kind),
      ]
    }
    if !inner.isEmpty { object["subresources"] = .array(inner) }
    return object
  }
}
