from llm_service.app import main

main()
