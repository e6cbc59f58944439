// Descriptions of Services: kept for clients that look for them, as there is no network of the cluster's own. Data, no
// behaviour.

extension Descriptions {
  static let services = """
    Service: Service is a name for ports of pods. Kept and shown: there is no network of the cluster's own, so it leads
      nowhere in this version.
    ServiceSpec: ServiceSpec says which ports of which pods are meant. Kept, without effect in this version.
      ports: The ports, known by number and protocol.
      selector: Labels of the pods.
      clusterIP: The address inside the cluster; none is given here.
      clusterIPs: The addresses inside the cluster.
      type: ClusterIP, NodePort, LoadBalancer or ExternalName.
      externalIPs: Addresses outside of the cluster.
      sessionAffinity: ClientIP or None.
      sessionAffinityConfig: How long a client stays with a pod.
      loadBalancerIP: The address of the load balancer.
      loadBalancerSourceRanges: Clients that the load balancer lets in.
      loadBalancerClass: Which load balancer is meant.
      allocateLoadBalancerNodePorts: Whether a load balancer gets ports of the nodes.
      externalName: The name that stands for the service.
      externalTrafficPolicy: Whether traffic from outside stays on its node.
      internalTrafficPolicy: Whether traffic from inside stays on its node.
      healthCheckNodePort: The port where load balancers ask for health.
      publishNotReadyAddresses: Whether pods that are not ready count.
      ipFamilies: IPv4, IPv6 or both.
      ipFamilyPolicy: Whether one family or two are wanted.
      trafficDistribution: Which pods are preferred.
    ServicePort: ServicePort is one port of a service.
      name: A name for the port.
      protocol: TCP, UDP or SCTP; TCP when absent.
      appProtocol: What is spoken there.
      port: The port of the service.
      targetPort: The port of the pods, by number or name.
      nodePort: The port of the nodes.
    SessionAffinityConfig: SessionAffinityConfig says how long a client stays with a pod.
      clientIP: For clients by their address.
    ClientIPConfig: ClientIPConfig is about clients by their address.
      timeoutSeconds: Seconds.
    ServiceStatus: ServiceStatus is where a service can be reached from outside; never set here.
      loadBalancer: The load balancer.
      conditions: Aspects of the service's state.
    LoadBalancerStatus: LoadBalancerStatus is where a load balancer listens.
      ingress: Its addresses.
    LoadBalancerIngress: LoadBalancerIngress is one address of a load balancer.
      ip: The address.
      hostname: The name.
      ipMode: VIP or Proxy.
      ports: Its ports.
    PortStatus: PortStatus is one port of a load balancer.
      port: The port.
      protocol: TCP, UDP or SCTP.
      error: What went wrong with it.
    """
}
