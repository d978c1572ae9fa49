"""Packaging of dts_pipeline. Each dependency is justified in docs/dependencies.md."""

from setuptools import find_packages, setup

RUNTIME = [
    "dagster==1.13.27",
    "dagster-docker==0.29.27",
    "dagster-webserver==1.13.27",
    "confluent-kafka==2.16.1",
    "pandas==3.1.1",
    "SQLAlchemy==2.0.58",
    "PyMySQL==1.2.4",
    "cryptography==50.0.2",
    "pydantic==2.14.3",
    "PyYAML==6.0.3",
    "msgspec==0.22.0",
    "tenacity==9.2.1",
    "httpx==0.28.1",
    "click==8.5.1",
    "rich==15.0.0",
    "prometheus-client==0.26.0",
]
UI = ["playwright==1.65.2", "pillow==13.0.0"]
DEVELOPMENT = [
    "jsonschema==4.26.0",
    "types-jsonschema==4.26.0.20261006",
    "pytest==9.2.0",
    "pytest-timeout==2.4.0",
    "hypothesis==6.170.15",
    "trustme==1.2.1",
    "ruff==0.17.6",
    "mypy==2.4.1",
    "pandas-stubs==3.1.0.261029",
    "types-PyYAML==6.0.12.20261113",
    "types-PyMySQL==1.2.0.20260923",
]
# The image of deploy/Dockerfile; `kubernetes` instead of `image` for Kubernetes.
IMAGE = ["dagster-postgres==0.29.27"]
KUBERNETES = ["dagster-k8s==0.29.27"]
BENCHMARK = ["matplotlib==3.11.2"]

setup(
    name="dts_pipeline",
    version="0.1.0",
    description="Keeps two MySQL or MariaDB servers that both take writes equal",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["dts_pipeline", "dts_pipeline.*"]),
    package_data={"dts_pipeline": ["py.typed"]},
    install_requires=RUNTIME,
    extras_require={
        "dev": DEVELOPMENT,
        "bench": BENCHMARK,
        "ui": UI,
        "image": IMAGE,
        "kubernetes": [*IMAGE, *KUBERNETES],
    },
    entry_points={"console_scripts": ["dts = dts_pipeline.cli:main"]},
)
