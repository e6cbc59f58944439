// Services and ServiceAccounts: what the API does for them alone. Services are kept and shown, and nothing acts on
// them; what accounts are for is admission's (AccountAdmission) and the tokens' (TokenRequests).

import ClusterProto

extension KindDescriptor {
  static let services = KindDescriptor(
    served: ServedRules(unserved: ["proxy": portsAreTheNodes], isInAll: true),
    table: .simple([
      .name, TableColumn("Type", "Type of the service."), TableColumn("Cluster-IP", "Address inside the cluster."),
      TableColumn("External-IP", "Address outside the cluster."), TableColumn("Port(s)", "Ports of the service."),
      .age, TableColumn("Selector", "Pods of the service.", isWide: true),
    ]) { service, name, age in
      let spec = service.body["spec"] ?? .null
      return [
        name, spec["type"] ?? "ClusterIP", Tables.orNone(spec["clusterIP"]?.stringValue), "<none>",
        .string(ports(spec)), age,
        Tables.orNone(LabelSelector(json: ["matchLabels": spec["selector"] ?? .object(JSONObject())]).description),
      ]
    },
    writes: WriteRules(
      skeleton: ["metadata": [:], "spec": [:], "status": [:]],
      honesty: { honesty, _, _ in
        honesty.warn(
          "spec",
          "\(Honesty.notHonoured): there is no network of the cluster's own, so a Service gets no cluster IP and no "
            + "DNS name; a pod's ports are its node's")
      }),
    deletion: DeletionRules(returnsObject: true))

  static let serviceAccounts = KindDescriptor(
    served: ServedRules(subresources: [
      ServedSubresource(name: "token", verbs: ["create"], type: ("authentication.k8s.io", "TokenRequest"))
    ]),
    table: .simple([.name, TableColumn("Secrets", "Number of secrets."), .age]) { account, name, age in
      [name, account.count("secrets"), age]
    }, writes: WriteRules(), deletion: DeletionRules(returnsObject: true))

  private static func ports(_ spec: JSON) -> String {
    let texts = (spec["ports"]?.arrayValue ?? []).map { port in
      "\(port["port"]?.intValue ?? 0)/\(port["protocol"]?.stringValue ?? "TCP")"
    }
    return texts.isEmpty ? "<none>" : texts.joined(separator: ",")
  }
}
